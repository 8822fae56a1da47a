"""The repository: what may not be in it, how large a module may be, and that the lock fits the definition."""

import ast
import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from featurelens import stamps

ROOT = stamps.root()
MODULES = sorted((ROOT / "lib").rglob("*.py"))
each_module = pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
# Written so that this file does not match itself.
FORBIDDEN = re.compile(
    r"p[y]pi\.o[r]g|py[t]honhosted|registry\.n[p]mjs|deb\.d[e]bian|(?<![\w.])/(w[o]rk|t[m]p|r[o]ot|h[o]me|U[s]ers)/"
)


def tracked():
    listed = stamps.git("ls-files", "-z", "--full-name", ":/")
    if not listed:
        pytest.skip("no git here: the list of tracked files is unknown")
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_no_registry_host_and_no_machine_path_is_tracked():
    found = []
    for path in tracked():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        found += [
            f"{path.relative_to(ROOT)}:{n}" for n, line in enumerate(lines, 1) if FORBIDDEN.search(line)
        ]
    assert not found


def test_the_forbidden_pattern_finds_what_it_should():
    work, home, registry = "/".join(["", "work", ""]), "/".join(["", "home", ""]), ".".join(["pypi", "org"])
    for bad in (f"from '{work}main/lib'", f"{home}me/.cache", f"https://{registry}/simple"):
        assert FORBIDDEN.search(bad), bad
    for good in (f"a{work}b", f"https://x.org{home}y", "lib/featurelens"):
        assert not FORBIDDEN.search(good), good


@each_module
def test_module_fits_on_a_few_screens(module):
    assert len(module.read_text().splitlines()) <= 250


@each_module
def test_nothing_is_unpickled_or_evaluated(module):
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name.split(".")[0] for alias in node.names} | {getattr(node, "module", "") or ""}
            assert not names & {"pickle", "cPickle", "dill", "joblib", "shelve"}, ast.unparse(node)
        if isinstance(node, ast.Call):
            called, keywords = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
            assert called not in ("eval", "exec", "builtins.eval", "builtins.exec"), ast.unparse(node)
            assert called != "torch.load" or keywords.get("weights_only") == "True", ast.unparse(node)
            assert keywords.get("allow_pickle", "False") == "False", ast.unparse(node)


def test_the_lock_pins_hashes_and_names_no_index():
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock and "index-url" not in lock and "find-links" not in lock
    entries = re.split(r"^(?=[\w.-]+==)", lock, flags=re.MULTILINE)[1:]
    assert len(entries) > 50
    assert not [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry]


def test_the_lock_satisfies_the_definition():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked: dict[str, list[str]] = {}
    for name, version in re.findall(
        r"^([\w.-]+)==([^\s;\\]+)", (ROOT / "requirements.lock").read_text(), re.M
    ):
        locked.setdefault(_normal(name), []).append(version)
    wanted = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
    ]
    for requirement in map(Requirement, wanted):
        versions = locked.get(_normal(requirement.name), [])
        assert versions and all(Version(v) in requirement.specifier for v in versions), requirement


def _normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()
