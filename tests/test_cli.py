import errno

import pytest

from featurelens import pages
from featurelens.cli import app
from featurelens.miniature import sweep, train


@pytest.fixture
def repository(tmp_path, monkeypatch):
    for folder in ("data", "chapters"):
        (tmp_path / folder).mkdir()
    (tmp_path / "chapters" / "01-a.py").write_text("# %%\n1 + 1\n")
    monkeypatch.setenv("FEATURELENS_DATA", str(tmp_path / "data"))
    return tmp_path


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        app(arguments)
    out, err = capsys.readouterr()
    return end.value.code, out, err


def test_sync_then_check(repository, capsys):
    code, out, _ = run(capsys, "book", "check", "--pairs")
    written = "".join(
        f"{name}: out of step with its data (featurelens book sync)\n" for name in ("claims", "tables")
    )
    assert code == 1 and out == "01-a: out of step with its chapter (featurelens book sync)\n" + written
    assert run(capsys, "book", "sync") == (0, "synced 01-a\nsynced claims\nsynced tables\n", "")
    assert run(capsys, "book", "check", "--pairs") == (0, "", "")
    code, out, _ = run(capsys, "book", "check")
    assert code == 1 and out == "01-a: stale, never executed (make refresh)\n"


def test_check_names_notebooks_without_a_chapter(repository, capsys):
    run(capsys, "book", "sync")
    (repository / "book" / "07-old.ipynb").write_text("{}")
    assert run(capsys, "book", "check", "--pairs")[:2] == (1, "07-old.ipynb: no chapter of that name\n")


def test_prepare_syncs_lists_what_is_stale_and_writes_the_settings(repository, capsys):
    (repository / "_config.yml").write_text("title: T\n")
    code, out, _ = run(capsys, "book", "prepare")
    assert code == 0 and out == "01-a: stale, never executed (make refresh); rendered as it is\n"
    assert pages.in_step(pages.page("01-a"))
    assert "title: T" in (repository / "_build" / "_config.yml").read_text()


def test_refresh_runs_what_is_stale_and_what_that_made_stale(repository, capsys, monkeypatch):
    monkeypatch.setenv("FEATURELENS_SCALE", "miniature")
    (repository / "chapters" / "02-b.py").write_text("# %%\n1 + 1\n")
    stale, ran = {"01-a", "02-b"}, []

    def refresh(page, scale):
        ran.append((page.name, scale))
        stale.discard(page.name)
        if ran[-1][0] == "02-b":
            stale.add("01-a")  # the second page wrote a table that the first one draws
        return 1.0

    monkeypatch.setattr(pages, "refresh", refresh)
    monkeypatch.setattr(pages, "stale", lambda page: page.name in stale)
    assert run(capsys, "book", "refresh")[0] == 0
    assert ran == [("01-a", "miniature"), ("02-b", "miniature"), ("01-a", "miniature")]
    ran.clear()
    stale.clear()
    run(capsys, "book", "refresh")
    assert ran == []
    run(capsys, "book", "refresh", "--all", "01-a")
    assert ran == [("01-a", "miniature")]


def test_a_failing_page_does_not_stop_the_others(repository, capsys, monkeypatch):
    (repository / "chapters" / "02-b.py").write_text("# %%\n1 + 1\n")
    ran = []

    def refresh(page, scale):
        ran.append(page.name)
        raise pages.PageError(f"{page.name}: ValueError: no")

    monkeypatch.setattr(pages, "refresh", refresh)
    code, _, err = run(capsys, "book", "refresh")
    assert code == 1 and ran == ["01-a", "02-b"]
    assert err == "featurelens: 01-a: ValueError: no\nfeaturelens: 02-b: ValueError: no\n"


@pytest.mark.parametrize(
    ("arguments", "scale", "message"),
    [
        (["book", "refresh", "01-b"], "", "featurelens: unknown chapter '01-b': did you mean 01-a?\n"),
        (["book", "refresh"], "papr", "featurelens: unknown scale 'papr': did you mean paper?\n"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(repository, capsys, monkeypatch, arguments, scale, message):
    monkeypatch.setenv("FEATURELENS_SCALE", scale)
    assert run(capsys, *arguments) == (2, "", message)


def test_no_repository_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FEATURELENS_DATA", str(tmp_path / "absent"))
    code, out, err = run(capsys, "book", "check")
    assert (
        code == 2 and out == "" and err.startswith("featurelens: no data folder at") and err.count("\n") == 1
    )


@pytest.mark.parametrize(
    "error",
    [
        IsADirectoryError(errno.EISDIR, "Is a directory", "there"),
        PermissionError(errno.EACCES, "Permission denied", "there"),
        OSError(errno.ENAMETOOLONG, "File name too long", "there"),
        OSError(errno.ENOSPC, "No space left on device", "there"),
        ConnectionError("no cluster\n at there"),
    ],
)
def test_an_error_of_the_system_is_one_line(repository, capsys, monkeypatch, error):
    def fail(page):
        raise error

    monkeypatch.setattr(pages, "sync", fail)
    code, out, err = run(capsys, "book", "sync")
    assert (code, out) == (2, "") and err.startswith("featurelens: ") and err.count("\n") == 1
    assert "there" in err


def test_unknown_command_is_exit_code_2(capsys):
    code, _, err = run(capsys, "book", "chek")
    assert code == 2 and "No such command 'chek'" in err


def test_sweep_runs_what_is_pending_or_the_one_asked_for(capsys, monkeypatch):
    ran = []
    monkeypatch.setattr(train, "fit", lambda *_: pytest.fail("an unknown run was trained"))
    assert run(capsys, "miniature", "sweep", "--only", "one-centre-s9") == (
        2,
        "",
        "featurelens: unknown sweep run 'one-centre-s9': "
        "did you mean one-centre-s2 or one-centre-s1 or one-centre-s0?\n",
    )
    monkeypatch.setattr(sweep, "execute", ran.append)
    monkeypatch.setattr(sweep, "pending", lambda: ["one-sgd-s0", "screen-00-s0"])
    assert run(capsys, "miniature", "sweep", "--only", "one-lamb-s0") == (0, "", "")
    assert ran == ["one-lamb-s0"]
    ran.clear()
    assert run(capsys, "miniature", "sweep") == (0, "", "")
    assert ran == ["one-sgd-s0", "screen-00-s0"]
