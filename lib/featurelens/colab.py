"""Set-up of a page on Colab: the code cell that every notebook begins with, and what it calls.

The cell of an old page calls the ``prepare`` and ``machine`` of the newest commit: keep their arguments.
This module imports only what the kernel of every notebook has, because the packages of ``pyproject.toml``
may still be missing when it runs.
"""

import importlib
import json
import platform
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# Colab's are built for its GPUs and loaded by more than this book: another one breaks the session.
NEVER = ("torch", "torchvision")
# Not "featurelens": Python would take a folder of that name for the package.
_CELL = """\
# Where featurelens is not installed, as on Colab, this fetches it as it was when the page was made, and
# the packages it needs, but never torch. Elsewhere it only prints. (Written by `featurelens book sync`.)
import importlib.util, os, subprocess, sys

if not (found := importlib.util.find_spec("featurelens")):
    url = os.environ.get("FEATURELENS_REPOSITORY") or {repository}
    url or sys.exit("Set os.environ['FEATURELENS_REPOSITORY'] to the address of the book's repository.")
    if not os.path.isdir("featurelens-book"):
        subprocess.run(["git", "clone", "-q", "--filter=blob:none", url, "featurelens-book"], check=True)
    sys.path.insert(0, os.path.abspath("featurelens-book/lib"))
from featurelens import colab

print(colab.machine() if found else colab.prepare("featurelens-book", {commit}, {page}))"""


def cell(page: str, commit: str, repository: str) -> str:
    """Source of the set-up cell of ``page``.

    Args:
        page: stem of the chapter.
        commit: what the page was executed at; empty for the newest of the repository's branch.
        repository: web address to clone; empty when readers have to set ``FEATURELENS_REPOSITORY``.
    """
    given = {"page": page, "commit": commit, "repository": repository}
    return _CELL.format_map({name: json.dumps(value) for name, value in given.items()})


def prepare(clone: str, commit: str, page: str) -> str:
    """Bring ``clone`` to what ``page`` was made from, and install what the library needs and is not here.

    Says what it does, and returns what ``machine`` says.

    Raises:
        RuntimeError: pip could not install something; the message ends with pip's last line.
    """
    if not (commit and _go_to(Path(clone), commit, page)):
        _checkout(Path(clone), "origin/HEAD")
        if commit:
            print(f"Commit {commit} of this page is not in the repository: using the newest instead.")
    project = tomllib.loads((Path(clone) / "pyproject.toml").read_text())["project"]
    install(lacking(project["dependencies"]))
    return machine()


def machine() -> str:
    """GPU, versions of Python and torch, and commit of the library, in one line."""
    try:
        import torch

        gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
        version = torch.__version__
    except ModuleNotFoundError:
        gpu, version = "unknown", "missing"
    commit = _git(Path(__file__).parent, "rev-parse", "--short=10", "HEAD") or "unknown"
    return f"GPU: {gpu}. Python {platform.python_version()}, torch {version}, featurelens at commit {commit}."


def lacking(requirements: Iterable[str]) -> list[Requirement]:
    """Those of ``requirements`` that apply here and are not installed, or in a version they do not allow."""
    wanted = map(Requirement, requirements)
    return [each for each in wanted if (not each.marker or each.marker.evaluate()) and not _satisfied(each)]


def install(missing: Iterable[Requirement]) -> None:
    """Install ``missing`` with pip, but never torch or torchvision: of these it only says what is wrong.

    A package that needs another torch than the one that is here is not installed either. Constraints and not
    ``--no-deps``: pip then finds what the packages need in turn, and refuses instead of replacing.

    Raises:
        RuntimeError: pip failed; the message ends with its last line.
    """
    others = []
    for each in missing:
        if canonicalize_name(each.name) in NEVER:
            found = _version(each.name) or "none"
            print(f"{each.name}: expected {each.specifier}, found {found}: choose a runtime that has it.")
        else:
            others.append(each)
    if not others or not all(map(_version, NEVER)):  # without torch, pip would bring one along
        return
    print(f"Installing {', '.join(map(str, others))}")
    loaded = _loaded()
    replaced = [each.name for each in others if canonicalize_name(each.name) in loaded]
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "constraints.txt"
        pins.write_text("".join(f"{name}=={_version(name)}\n" for name in NEVER))
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", str(pins)]
        done = subprocess.run([*command, *map(str, others)], capture_output=True, text=True)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"pip could not install {', '.join(map(str, others))}: {why}")
    importlib.invalidate_caches()
    if replaced:
        print(f"Replaced {', '.join(replaced)}, in use already: restart the session, then run all cells.")


def _satisfied(requirement: Requirement) -> bool:
    version = _version(requirement.name)
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _loaded() -> set[str]:
    """Installed packages of which something is imported."""
    packages = metadata.packages_distributions().items()
    return {canonicalize_name(name) for module, names in packages if module in sys.modules for name in names}


def _go_to(clone: Path, commit: str, page: str) -> bool:
    """Check out ``commit`` with the tables that the page was stored with; False if it cannot be."""
    if not _checkout(clone, commit):
        # A folder that was cloned before the page was made.
        _git(clone, "fetch", "--quiet", "origin")
        if not _checkout(clone, commit):
            return False
    if stored := _stored(clone, commit, f"book/{page}.ipynb"):
        _git(clone, "restore", f"--source={stored}", "--staged", "--worktree", "data")
    return True


def _checkout(clone: Path, commit: str) -> bool:
    # Tables of another page, or computed by it, would be in the way; code that a reader edited is kept.
    _git(clone, "restore", "--staged", "--worktree", "data")
    return _git(clone, "checkout", "--quiet", "--detach", commit) is not None


def _stored(clone: Path, commit: str, notebook: str) -> str | None:
    """First commit that has ``notebook`` as executed at ``commit``.

    Tables that a page writes are committed with it, and so after the commit it was executed at.
    """
    later = _git(clone, "rev-list", "--reverse", f"{commit}..origin/HEAD", "--", notebook) or ""
    for candidate in later.split():
        text = _git(clone, "show", f"{candidate}:{notebook}")
        if text and json.loads(text)["metadata"].get("featurelens", {}).get("commit") == commit:
            return candidate
    return None


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says about ``folder``; None where it fails. (``stamps.git`` needs packages, see above.)"""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True)
    except OSError:
        return None
    return None if done.returncode else done.stdout.strip()
