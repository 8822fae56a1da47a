import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
import torch

from featurelens import colab, stamps


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A function that makes packages look installed."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def install(name, version):
        folder = tmp_path / "site" / f"{name}-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")

    return install


@pytest.fixture
def pip(monkeypatch):
    """What pip was asked to install, and with which constraints; nothing is installed."""
    calls = []

    def run(command, **_):
        pins = Path(command[command.index("--constraint") + 1]).read_text()
        calls.append((command[command.index("--constraint") + 2 :], pins.split()))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(colab.subprocess, "run", run)
    return calls


def lacking(*requirements):
    return [str(each) for each in colab.lacking(requirements)]


def test_a_package_is_lacking_when_it_is_missing_or_too_old(installed):
    installed("an_example", "1.9")
    assert lacking("no-such-example>=1") == ["no-such-example>=1"]
    assert lacking("an-example>=1.10") == ["an-example>=1.10"]
    assert lacking("An.Example>=1.9", "an_example") == []


def test_local_and_early_versions_count_and_markers_are_read(installed):
    installed("torch_like", "2.8.0+cu126")
    installed("early", "2.0rc1")
    assert lacking("torch-like>=2.6", "early>=1.5") == []
    assert lacking("other; python_version < '3'") == []


def test_nothing_missing_runs_nothing(pip, capsys):
    colab.install([])
    assert not pip and not capsys.readouterr().out


def test_only_what_is_missing_is_installed_next_to_this_torch(pip):
    colab.install(colab.lacking(["no-such-example>=1", "numpy", "torch"]))
    pins = [f"{name}=={metadata.version(name)}" for name in ("torch", "torchvision")]
    assert pip == [(["no-such-example>=1"], pins)]


def test_an_old_torch_is_named_and_kept(installed, pip, capsys):
    installed("torch", "2.5.1+cu121")
    colab.install(colab.lacking(["torch>=2.6", "no-such-example>=1"]))
    assert "torch: expected >=2.6, found 2.5.1+cu121: choose a runtime" in capsys.readouterr().out
    assert pip[0][0] == ["no-such-example>=1"] and "torch==2.5.1+cu121" in pip[0][1]


@pytest.mark.parametrize("gone", colab.NEVER)
def test_without_torch_nothing_is_installed(pip, capsys, monkeypatch, gone):
    version = colab._version
    monkeypatch.setattr(colab, "_version", lambda name: None if name == gone else version(name))
    colab.install(colab.lacking([f"{gone}>=0.2", "no-such-example"]))
    assert capsys.readouterr().out == f"{gone}: expected >=0.2, found none: choose a runtime that has it.\n"
    assert not pip


def test_a_restart_is_asked_for_only_when_a_loaded_package_was_replaced(pip, capsys):
    colab.install(colab.lacking(["pytest>=1000", "pre-commit>=1000"]))
    assert "Replaced pytest, in use already: restart the session" in capsys.readouterr().out


def test_a_failure_of_pip_is_one_line(monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "a long story\nERROR: no such package\n")
    monkeypatch.setattr(colab.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(RuntimeError, match=r"^pip could not install no-such>=1: ERROR: no such package$"):
        colab.install(colab.lacking(["no-such>=1"]))


def test_with_the_library_the_cell_only_prints(tmp_path, capfd):
    source = colab.cell("01-a", "", "")
    run = subprocess.run([sys.executable, "-c", source], cwd=tmp_path, capture_output=True, text=True)
    assert run.stdout.startswith("GPU: ") and "torch 2." in run.stdout and not run.stderr
    assert run.stdout.count("\n") == 1 and not list(tmp_path.iterdir())


def test_every_notebook_has_the_cell_of_its_page():
    for path in sorted((stamps.root() / "book").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert code[0].id == "setup" and code[0].source.count("\n") <= 14
        assert f'"{path.stem}"))' in code[0].source


# What follows runs the cell where the library is not installed.


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """Python of an environment with every package of this one but featurelens and pooch."""
    folder = tmp_path_factory.mktemp("elsewhere")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    # Its own setuptools may be older than torch wants.
    pip = [folder / "venv" / "bin" / "python", "-m", "pip", "--quiet"]
    subprocess.run([*pip, "uninstall", "--yes", "setuptools"], check=True, capture_output=True)
    (folder / "site").mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(("featurelens", "_editable", "pooch", "pip", "__pycache__")):
            (folder / "site" / entry.name).symlink_to(entry)
    own = next((folder / "venv" / "lib").glob("python*/site-packages"))
    (own / "others.pth").write_text(str(folder / "site"))
    return folder / "venv" / "bin" / "python"


def git(folder, *arguments):
    names = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *names, "-C", folder, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(folder):
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "x")
    return git(folder, "rev-parse", "--short=10", "HEAD")


@pytest.fixture
def repository(tmp_path):
    """A repository that went on after its page was executed; and the commit the page was executed at."""
    folder = tmp_path / "repository"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(stamps.PACKAGE, folder / "lib" / "featurelens", ignore=ignored)
    shutil.copy(stamps.root() / "pyproject.toml", folder)
    for name in ("data", "book"):
        (folder / name).mkdir()
    table, module = folder / "data" / "a.csv", folder / "lib" / "featurelens" / "probe.py"
    table.write_text("before the page")
    module.write_text("STATE = 'of the page'")
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "config", "uploadpack.allowFilter", "true")
    git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    executed = commit(folder)
    notebook = folder / "book" / "01-a.ipynb"
    for stamp in ("0123456789", executed):
        table.write_text(f"with stamp {stamp}")
        notebook.write_text(
            nbformat.writes(nbformat.v4.new_notebook(metadata={"featurelens": {"commit": stamp}}))
        )
        commit(folder)
    table.write_text("newest")
    module.write_text("STATE = 'newest'")
    notebook.write_text(notebook.read_text() + "\n")
    commit(folder)
    return folder, executed


ASKS = """
import featurelens.probe
from featurelens import paths

print("|".join([featurelens.probe.STATE, (paths.data() / "a.csv").read_text(), featurelens.__file__]))
"""


def script(python, source, cwd, **env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("FEATURELENS_", "PYTHON"))}
    return subprocess.run(
        [python, "-c", source], cwd=cwd, env=clean | env, capture_output=True, text=True, timeout=600
    )


@pytest.mark.slow
def test_elsewhere_the_cell_fetches_the_library_at_the_commit_of_the_page(elsewhere, repository, tmp_path):
    get = [elsewhere, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", tmp_path / "wheels", "pooch"]
    if subprocess.run(get, capture_output=True).returncode:
        pytest.skip("no package registry can be reached, so pip has nothing to install from")
    folder, executed = repository
    empty = tmp_path / "empty"
    empty.mkdir()

    assert "No module named 'featurelens'" in script(elsewhere, "import featurelens", empty).stderr
    without = script(elsewhere, colab.cell("01-a", executed, ""), empty)
    assert without.stderr.startswith("Set os.environ['FEATURELENS_REPOSITORY']") and without.returncode == 1

    address = {"FEATURELENS_REPOSITORY": f"file://{folder}"}
    source = colab.cell("01-a", executed, "https://example.org/unused") + ASKS
    for installing in ("Installing pooch>=1.8\n", ""):  # the second time as after a restart of the session
        run = script(elsewhere, source, empty, **address)
        assert not run.returncode, run.stderr
        assert run.stdout.startswith(f"{installing}GPU: ")
        assert f"torch {torch.__version__}, featurelens at commit {executed}.\n" in run.stdout
        state, table, library = run.stdout.splitlines()[-1].split("|")
        assert (state, table) == ("of the page", f"with stamp {executed}")
        assert Path(library).is_relative_to(empty / "featurelens-book")
    own = elsewhere.parents[1].glob("lib/python*/site-packages/*.dist-info")
    names = {path.name.split("-")[0] for path in own}
    assert "pooch" in names and not names & {"torch", "torchvision", "featurelens"}

    # A commit that nobody pushed.
    run = script(elsewhere, colab.cell("01-a", "0123456789", "") + ASKS, empty, **address)
    assert run.stdout.startswith("Commit 0123456789 of this page is not in the repository: using the newest")
    assert run.stdout.splitlines()[-1].startswith("newest|newest|")


def wheel(folder, name, version, *requires):
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")


@pytest.mark.slow
def test_pip_does_not_replace_torch_for_a_package_that_asks_for_it(elsewhere, tmp_path):
    wheel(tmp_path, "torch", "99.0")
    wheel(tmp_path, "modest", "1.0", "torch>=1")
    wheel(tmp_path, "demanding", "1.0", "torch>=99")
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PYTHONPATH": str(stamps.PACKAGE.parent)}
    for name in ("modest", "demanding"):
        source = f"from featurelens import colab; colab.install(colab.lacking([{name!r}]))"
        run = script(elsewhere, source, tmp_path, **offline)
        assert bool(run.returncode) == (name == "demanding"), run.stderr
    assert "RuntimeError: pip could not install demanding: ERROR: ResolutionImpossible" in run.stderr
    run = script(elsewhere, "from importlib import metadata; print(metadata.version('torch'))", tmp_path)
    assert run.stdout.strip() == metadata.version("torch")
