import json

import pytest
import yaml

from featurelens import site, stamps

SETTINGS = {
    "title": "T",
    "repository": {"path_to_book": "book"},
    "launch_buttons": {"colab_url": "https://colab"},
    "html": {"use_repository_button": True, "use_issues_button": True},
}


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("https://github.com/a/b.git", "https://github.com/a/b"),
        ("https://token@github.com/a/b", "https://github.com/a/b"),
        ("git@github.com:a/b.git", "https://github.com/a/b"),
        ("ssh://git@gitlab.example.org/a/b/", "https://gitlab.example.org/a/b"),
        ("", None),
        ("/srv/git/b.git", None),
        ("../b", None),
        ("file:///srv/b", None),
        ("host:b", None),
    ],
)
def test_address_of_a_remote(remote, address):
    assert site.address(remote) == address


def test_without_an_address_there_are_no_links():
    config = site.config(SETTINGS, None, "main")
    assert "repository" not in config and "launch_buttons" not in config
    assert not any(value for key, value in config["html"].items() if key.endswith("_button"))


def test_with_an_address_there_are_links():
    config = site.config(SETTINGS, "https://github.com/a/b", "main")
    assert config["repository"] == {"path_to_book": "book", "url": "https://github.com/a/b", "branch": "main"}
    assert config["launch_buttons"] == SETTINGS["launch_buttons"]
    assert site.config(SETTINGS, "https://gitlab.org/a/b", "main")["launch_buttons"] == {}


def test_config_is_written_for_this_clone(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "_config.yml").write_text(yaml.safe_dump(SETTINGS))
    monkeypatch.setenv("FEATURELENS_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(stamps, "git", lambda *_: None)
    written = yaml.safe_load(site.write_config().read_text())
    assert written == site.with_claims(site.config(SETTINGS, None, "main"))


def test_pages_are_told_how_many_claims_there_are(tmp_path, monkeypatch):
    (tmp_path / "data" / "claims").mkdir(parents=True)
    for name, count in (("01-a", 2), ("02-b", 3)):
        text = json.dumps({"chapter": name, "claims": [{}] * count})
        (tmp_path / "data" / "claims" / f"{name}.json").write_text(text)
    monkeypatch.setenv("FEATURELENS_DATA", str(tmp_path / "data"))
    told = site.with_claims({"parse": {"myst_substitutions": {"a": 1}, "b": 2}, "c": 3})
    assert told == {"parse": {"myst_substitutions": {"a": 1, "claims": 5}, "b": 2}, "c": 3}
