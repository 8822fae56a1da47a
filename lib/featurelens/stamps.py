"""What a page or a table was made from: machine, commit, code and data, as facts and as hashes.

A page is stale when its stamp's hashes differ from what the files give now. Code counts by its syntax tree,
so that a comment or a docstring changes nothing, on any Python version.
"""

import ast
import hashlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from featurelens import paths

PACKAGE = Path(__file__).parent
VERSIONED = ("featurelens", "torch", "numpy", "pandas", "scipy", "matplotlib", "timm", "open_clip_torch")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def root() -> Path:
    """The repository's folder: the one that holds ``data/``."""
    return paths.data().resolve().parent


def here() -> dict[str, str]:
    """Date (UTC), commit and hardware of a computation that runs now."""
    return {"computed_on": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit(), "hardware": hardware()}


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that numbers and figures depend on."""
    found = {"python": platform.python_version()}
    return found | {name: importlib.metadata.version(name) for name in VERSIONED}


def git(*arguments: str) -> str | None:
    """What git says about the library's repository; None where it fails, or where there is no git."""
    command = ["git", "-C", str(PACKAGE), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


@cache
def commit() -> str:
    """Short commit, ending in ``-dirty`` when the code differs from it; ``unknown`` without git."""
    # An environment inside a repository of somebody else's is not part of it.
    tracked = git("ls-files", "--error-unmatch", Path(__file__).name)
    head = tracked and git("rev-parse", "--short=10", "HEAD")
    if head is None:
        return "unknown"
    # Tables and notebooks change while pages are made; only other code would make other numbers.
    clean = git("diff", "--quiet", "HEAD", "--", ":/lib", ":/chapters") is not None
    return head if clean else f"{head}-dirty"


@cache
def hardware() -> str:
    """Processor (and GPU, if there is one) in a few words, with no host name."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    cpu = next(names, platform.processor() or platform.machine())
    import torch  # it takes seconds, and only a computation asks for the hardware

    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{os.cpu_count()} x {cpu}{gpu}"


def read(path: Path) -> Path:
    """Note that the running page read ``path``, a file of the repository, and return it.

    The note goes to the file that ``FEATURELENS_READS`` names; without that variable nothing happens.
    """
    log = os.environ.get("FEATURELENS_READS")
    if log:
        with open(log, "a") as file:
            file.write(f"{Path(path).resolve()}\n")
    return path


def reads(log: Path) -> list[Path]:
    """The repository's files noted in ``log``, each once, sorted."""
    noted = {Path(line) for line in log.read_text().splitlines()} if log.is_file() else set()
    return sorted(path for path in noted if path.is_relative_to(root()))


def data_hashes(files: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of each file, by its path in the repository; empty for one that is gone."""
    return {file.relative_to(root()).as_posix(): _file_hash(file) for file in files}


def _file_hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def code_hash(sources: Iterable[str]) -> str:
    """SHA-256 of Python sources, the library's modules they import and the library's tables these name."""
    sources = list(sources)
    modules = imported(sources)
    digest = hashlib.sha256(repr([canonical(source) for source in sources]).encode())
    for file in modules:
        digest.update(f"{file.relative_to(PACKAGE).as_posix()} {canonical(file.read_text())}".encode())
    for table in _tables(modules):
        digest.update(f"{table.name} {_file_hash(table)}".encode())
    return digest.hexdigest()


def _tables(modules: Iterable[Path]) -> list[Path]:
    """The library's own CSV files whose name stands in one of ``modules``."""
    text = "".join(module.read_text() for module in modules)
    return sorted(table for table in PACKAGE.rglob("*.csv") if table.name in text)


@cache
def canonical(source: str) -> str:
    """The syntax tree of ``source`` as text, without comments, layout and docstrings.

    ``ast.dump`` would do, but its text differs between Python versions.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return repr(_plain(tree))


def _plain(node: object) -> object:
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if value not in (None, []))
        return [type(node).__name__, *((name, _plain(value)) for name, value in fields)]
    return [_plain(item) for item in node] if isinstance(node, list) else node


def imported(sources: Iterable[str]) -> list[Path]:
    """Files of the library that ``sources`` import, directly or through one another, sorted."""
    waiting = [(source, ()) for source in sources]
    found: set[Path] = set()
    while waiting:
        source, package = waiting.pop()
        for name in _names(source, package):
            for file in _files(name):
                if file not in found:
                    found.add(file)
                    waiting.append((file.read_text(), file.relative_to(PACKAGE.parent).parts[:-1]))
    return sorted(found)


@cache
def _names(source: str, package: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Dotted names, as tuples, that a module of ``package`` imports, wherever the import stands."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            module = (*start, *(node.module or "").split(".")) if node.module else start
            names += [(*module, alias.name) for alias in node.names]
    return names


def _files(name: tuple[str, ...]) -> Iterable[Path]:
    """Files that importing the dotted ``name`` runs; a last part that is no module is an attribute."""
    if name[0] != PACKAGE.name:
        return
    for length in range(1, len(name) + 1):
        stem = PACKAGE.parent.joinpath(*name[:length])
        yield from (file for file in (stem / "__init__.py", stem.with_suffix(".py")) if file.is_file())
