"""What the files of a feature store say of themselves, read with care: they may be damaged."""

import json
from collections.abc import Callable
from pathlib import Path

from featurelens import storage

# What a manifest, an entry of it, a shard's header and an identity have at least.
LISTING = {"images": int, "shard_rows": int, "failures": list, "shards": list, "identity": dict}
ENTRY = {"file": str, "sha256": str, "rows": int}
HEADER = {"shard": int, "shard_rows": int, "failures": list, "identity": dict}
NAMES = dict.fromkeys(("encoder", "images", "count", "point", "precision"), str)


class Damaged(ValueError):
    """A file of the store is not as it was written; ``args[0]`` says what is wrong with it."""

    def __str__(self) -> str:
        """What is wrong, and how to go on."""
        return f"{self.args[0]} (featurelens store gc --damaged removes it)"


def read_manifest(path: Path) -> dict:
    """Read a manifest, and see that it has all that one has.

    Raises:
        ValueError: it has not, or is no JSON.
    """
    try:
        manifest = json.loads(path.read_bytes())
    except ValueError as error:
        raise Damaged(f"{path}: expected a manifest, found a damaged file ({error})") from error
    for entry in _has(path, manifest, LISTING)["shards"]:
        _has(path, entry, ENTRY)
    _has(path, manifest["identity"], NAMES)
    return manifest


def read_header(path: Path) -> dict:
    """Read what a shard says of itself.

    Raises:
        ValueError: a damaged file, or no shard.
    """
    try:
        header = json.loads(storage.metadata(path).get("featurelens", "{}"))
    except ValueError as error:
        raise Damaged(str(error)) from error
    _has(path, _has(path, header, HEADER)["identity"], NAMES)
    return header


def _has(path: Path, entry: object, types: dict[str, type]) -> dict:
    found = entry if isinstance(entry, dict) else {}
    if (
        not all(isinstance(found.get(key), kind) for key, kind in types.items())
        or found.get("shard_rows") == 0
    ):
        raise Damaged(f"{path}: expected an entry with {', '.join(types)}, found a damaged file")
    return found


def failing(checks: dict[Path, Callable[[], object]]) -> dict[Path, str]:
    """The files whose check raises ValueError, with its text (without the advice)."""
    bad = {}
    for path, check in checks.items():
        try:
            check()
        except ValueError as error:
            bad[path] = str(error.args[0])
    return bad
