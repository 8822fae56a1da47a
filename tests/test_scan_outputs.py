"""Where `featurelens scan` writes: never over what it reads, and conditions come after the table."""

import json
import os
import re
from pathlib import Path

import made_features as made
import numpy as np
import pytest
from PIL import Image

from featurelens import atomic, scan
from featurelens.cli import app

ENCODER = "miniature/clip-web-resnet-s0"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with features and a head, which is where one is."""
    monkeypatch.setenv("FEATURELENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    np.save("mine.npy", made.planted("constant offset").numpy())
    np.save("w.npy", made.head().w_CD.numpy())
    return tmp_path


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        app(["scan", *map(str, arguments)])
    out, err = capsys.readouterr()
    return end.value.code, out, err


def pictures(folder):
    folder.mkdir()
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def never(*_, **__):
    pytest.fail("something was computed first")


@pytest.mark.parametrize(
    "arguments",
    [
        "mine.npy --json mine.npy",
        "mine.npy --html ./mine.npy",
        "mine.npy --json ~/mine.npy",
        "mine.npy --json link.npy",
        "link.npy --json mine.npy",
        "mine.npy --json hard.npy",
        "mine.npy --head w.npy --html w.npy",
        "timm/resnet18/w.npy --images none --json w.npy",
        f"{ENCODER} --images mine.npy --json mine.npy",
        f"{ENCODER} --images none --classes w.npy --json w.npy",
        "mine.npy --json same --html same",
        "mine.npy --json same --html ./same",
    ],
)
def test_what_is_read_or_written_is_not_written_over(here, capsys, monkeypatch, arguments):
    Path("link.npy").symlink_to("mine.npy")
    os.link("mine.npy", "hard.npy")
    before = {path: path.read_bytes() for path in here.iterdir()}
    monkeypatch.setattr(scan, "features", never)
    code, out, err = run(capsys, *arguments.split())
    message = r"featurelens: \S+: expected a file to write to, found one that is read, or written, as well\n"
    assert (code, out) == (2, "") and re.fullmatch(message, err)
    assert {path: path.read_bytes() for path in here.iterdir()} == before


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_a_report_goes_where_a_link_points(capsys, option):
    Path("deep").mkdir()
    Path("deep/target").write_text("old")
    Path("link").symlink_to("deep/target")
    Path("fresh").symlink_to("deep/none-yet")
    for link, target in {"link": "deep/target", "fresh": "deep/none-yet"}.items():
        assert run(capsys, "mine.npy", option, link)[0] == 0
        assert Path(link).is_symlink() and len(Path(target).read_text()) > 1000
    Path("loop").symlink_to("loop")
    assert "found no regular file" in run(capsys, "mine.npy", option, "loop")[2]


def test_home_is_known(here, capsys):
    assert run(capsys, "mine.npy", "--json", "~/a.json")[0] == 0
    assert json.loads((here / "a.json").read_text())["name"] == "mine"
    (here / "folder").mkdir()
    assert "found a folder" in run(capsys, "mine.npy", "--json", "~/folder")[2]


def test_what_is_no_regular_file_stays(capsys, monkeypatch):
    monkeypatch.setattr(atomic, "write_text", never)  # a device would be gone for everybody
    os.mkfifo("pipe")
    Path("link").symlink_to("pipe")
    for place in ("pipe", "link", "/dev/null"):
        code, out, err = run(capsys, "mine.npy", "--json", place)
        assert (code, out) == (2, "") and "expected a file to write to, found no regular file" in err


def test_a_long_name_is_written_and_one_too_long_is_one_line(capsys):
    name = "a" * 250 + ".json"
    assert run(capsys, "mine.npy", "--json", name)[0] == 0 and Path(name).is_file()
    code, out, err = run(capsys, "mine.npy", "--json", "a" + name)
    assert (code, out) == (2, "") and re.fullmatch(r"featurelens: .*File name too long: .*\n", err)


def test_a_report_that_cannot_be_written_is_still_printed(capsys, monkeypatch):
    def full(path, text):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(atomic, "write_text", full)
    code, out, err = run(capsys, "mine.npy", "--json", "a.json")
    assert code == 2 and out.startswith("mine: 240 images") and err.count("\n") == 1 and "a.json" in err


def test_a_condition_on_a_head_that_there_is_not_is_said_first(here, capsys, monkeypatch):
    late = ["--json", "late.json", "--fail-if", "prunable>0.5"]
    message = "featurelens: prunable: expected a scan with a head, found one without\n"
    folder = pictures(here / "pictures")
    monkeypatch.setattr(scan, "features", never)
    monkeypatch.setattr(scan, "scan", never)
    assert run(capsys, "mine.npy", *late) == (2, "", message)
    headless = ("--point", "pre")  # its head reads joint
    assert run(capsys, ENCODER, "--images", folder, *headless, *late) == (2, "", message)
    assert not Path("late.json").exists()


def test_a_condition_on_a_head_that_there_is(here, capsys):
    condition = ["--fail-if", "prunable>=0", "--json", "a.json"]
    code, out, err = run(capsys, "mine.npy", "--head", "w.npy", *condition)
    assert code == 1 and out.startswith("mine: 240") and err.startswith("featurelens: prunable>=0 holds")
    code, out, _ = run(capsys, ENCODER, "--images", pictures(here / "pictures"), *condition)
    assert code == 1 and "prunable" in json.loads(Path("a.json").read_text())["measures"] and out


def test_features_in_a_file_with_its_kind_in_capitals(here, capsys):
    Path("mine.npy").rename("MINE.NPY")
    assert run(capsys, "MINE.NPY")[0] == 0
    assert "found nothing at" in run(capsys, "NONE.NPY")[2]
    code, _, err = run(capsys, "MINE.NPY", "--images", pictures(here / "pictures"))
    assert code == 2 and "expected a model with --images, found features" in err
