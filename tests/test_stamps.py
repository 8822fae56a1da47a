import subprocess
import sys

import pytest

from featurelens import stamps

SOURCE = '''
"""Module."""
import featurelens.scales

def f(x: int = 1) -> str:
    """Say so."""
    return f"{x!r:>3}" + "a"  # a comment

class A:
    """A class."""
    y = (1, None, 2.5, b"z", ...)
'''


def test_comments_docstrings_and_layout_do_not_count():
    bare = (
        SOURCE.replace('"""Module."""', "")
        .replace('    """Say so."""\n', "")
        .replace("  # a comment", "")
        .replace('    """A class."""\n', "")
        .replace("x: int = 1", "\n    x: int=1,\n")
    )
    assert stamps.canonical(bare) == stamps.canonical(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("= 1", "= 2"),
        ("!r", "!s"),
        (":>3", ":>4"),
        ('"a"', '"b"'),
        ("None", "0"),
        ('b"z"', '"z"'),
        ("A:", "B:"),
    ],
)
def test_any_change_of_code_counts(old, new):
    assert old in SOURCE
    assert stamps.canonical(SOURCE.replace(old, new)) != stamps.canonical(SOURCE)


def test_a_docstring_that_is_the_whole_body_is_ignored():
    assert stamps.canonical('def f():\n    "one"') == stamps.canonical('def f():\n    "two"')


def names(*sources):
    return {file.relative_to(stamps.PACKAGE).as_posix() for file in stamps.imported(sources)}


@pytest.mark.parametrize(
    "source",
    [
        "import featurelens.scales",
        "import featurelens.scales as s",
        "from featurelens import scales",
        "from featurelens.scales import computes",
        "def f():\n    from featurelens import scales",
    ],
)
def test_imports_are_followed_however_they_are_written(source):
    assert names(source) == {"__init__.py", "scales.py", "checks.py"}


def test_packages_and_nothing_else():
    assert names("import torch, featurelensx\nfrom numpy import scales") == set()
    assert {"kernels/__init__.py", "kernels/moments.py"} <= names("from featurelens import kernels")


def test_tables_that_the_code_names_count_too():
    found = stamps._tables(stamps.imported(["from featurelens import published_features"]))
    assert [table.name for table in found] == ["published.csv", "published_features.csv"]


def test_relative_imports_start_at_their_package():
    import ast

    def found(source):
        return list(stamps._names(ast.parse(source), ("featurelens", "kernels")))

    assert found("from . import moments") == [("featurelens", "kernels", "moments")]
    assert found("from .moments import f") == [("featurelens", "kernels", "moments", "f")]
    assert found("from ..checks import f") == [("featurelens", "checks", "f")]


def test_imported_covers_what_python_really_loads():
    code = "import sys, featurelens.results; print(*[m for m in sys.modules if m.startswith('featurelens')])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    expected = {name.replace(".", "/") for name in loaded.split()} - {"featurelens"}
    found = {f"featurelens/{name}".removesuffix(".py") for name in names("import featurelens.results")}
    assert expected <= found


def test_reads_are_noted_once_and_only_inside_the_repository(tmp_path, monkeypatch):
    (tmp_path / "repo" / "data").mkdir(parents=True)
    monkeypatch.setenv("FEATURELENS_DATA", str(tmp_path / "repo" / "data"))
    a, b, outside = tmp_path / "repo/data/a.csv", tmp_path / "repo/lib/b.csv", tmp_path / "c.csv"
    a.write_text("1")
    monkeypatch.delenv("FEATURELENS_READS", raising=False)
    assert stamps.read(a) == a
    monkeypatch.setenv("FEATURELENS_READS", str(tmp_path / "log"))
    for path in (b, a, outside, a):
        stamps.read(path)
    assert stamps.reads(tmp_path / "log") == [a.resolve(), b.resolve()]
    assert stamps.reads(tmp_path / "absent") == []
    hashes = stamps.data_hashes([a, b])
    assert hashes["lib/b.csv"] == "" and hashes["data/a.csv"].startswith("6b86b273ff34fce19d6b804eff5a3f57")


def test_here_names_no_host():
    import platform

    facts = stamps.here()
    assert set(facts) == {"computed_on", "commit", "hardware"} and all(facts.values())
    assert platform.node() not in facts["hardware"]
    assert stamps.versions()["torch"]


def test_commit_is_that_of_the_library_and_not_of_whoever_has_it_installed(tmp_path, monkeypatch):
    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", "-C", tmp_path, *who, *arguments], check=True, capture_output=True)

    installed = tmp_path / "environment" / "featurelens"
    installed.mkdir(parents=True)
    (installed / "stamps.py").write_text("")
    (tmp_path / ".gitignore").write_text("environment\n")
    git("init", "-q")
    git("add", ".gitignore")
    git("commit", "-qm", "somebody else's")
    monkeypatch.setattr(stamps, "PACKAGE", installed)
    assert stamps.commit.__wrapped__() == "unknown"
    git("add", "--force", "environment")
    git("commit", "-qm", "the library's own")
    assert stamps.commit.__wrapped__() == stamps.git("rev-parse", "--short=10", "HEAD")
