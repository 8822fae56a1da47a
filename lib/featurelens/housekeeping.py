"""What lies in a feature store: which features, whether they are sound, and what may go.

The layout is set down in :mod:`featurelens.store`. Nothing here removes anything but :func:`remove`.
"""

import re
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

from featurelens import storage
from featurelens.shard_headers import failing, read_header, read_manifest
from featurelens.shards import MANIFEST, Part

PARTIAL_AGE = 3600  # seconds; a writer needs far less between a partial file and its place
# What changes under the same name as time goes by; anything else in an identity is a choice.
AGES = ("weights", "architecture", "versions", "format", "count", "sha256")
FOLDER = re.compile(r".*-[0-9a-f]{12}")
FILE = re.compile(r"(manifest\.json|shard-\d{5,}\.safetensors)")
PARTIAL = re.compile(r".+\.[0-9a-f]{32}\.partial")


@dataclass(frozen=True)
class Stored:
    """One folder of features as it is found.

    Attributes:
        folder: where it lies.
        files: its shards by name, then its manifest, if there is one.
    """

    folder: Path
    files: list[Path]

    @cached_property
    def part(self) -> Part | None:
        """What the manifest says it is, or else a shard; None where nothing in it can be read."""
        for path in reversed(self.files):
            try:
                found = _read(path)
                count = found.get("images") or int(found["identity"]["count"])
            except ValueError:
                continue
            return Part(self.folder.parent, found["identity"], count, found["shard_rows"])
        return None

    @property
    def identity(self) -> dict[str, str]:
        """Identity; where nothing can be read, names as the folders have them."""
        if self.part:
            return self.part.identity
        encoder, images, point = self.folder.parts[-3:]
        return {"encoder": encoder, "images": images, "point": point.rpartition("-")[0], "precision": "?"}

    @property
    def complete(self) -> bool:
        """Whether there is a manifest."""
        return self.files[-1].name == MANIFEST

    @cached_property
    def bytes(self) -> int:
        """Size of its files."""
        return sum(path.stat().st_size for path in self.files)

    @cached_property
    def problems(self) -> dict[Path, str]:
        """Files that are not as they were written, and why; every file is read."""
        if self.part is None:
            return failing({path: partial(_read, path) for path in self.files})
        if self.part.folder.name != self.folder.name:
            found = "features of this folder's name, found those of another identity"
            return {path: f"{path}: expected {found}" for path in self.files}
        return self.part.problems()

    def counts(self) -> tuple[int, int, str]:
        """Rows, pictures left out, and the state in words; of the manifest alone where there is one."""
        if self.part is None:
            return 0, 0, "damaged"
        n = len(self.part.ranges())
        try:
            if not self.complete:
                headers = [read_header(path) for path in self.files]
                rows = sum(len(self.part.ranges()[header["shard"]]) for header in headers)
                left_out = sum(len(header["failures"]) for header in headers)
                return rows - left_out, left_out, f"unfinished, {len(headers)} of {n}"
            manifest = read_manifest(self.files[-1])
        except (ValueError, IndexError):
            return 0, 0, "damaged"
        state = "complete" if len(self.files) == n + 1 else "damaged"
        return sum(shard["rows"] for shard in manifest["shards"]), len(manifest["failures"]), state


def _read(path: Path) -> dict:
    """What a manifest, or a shard's header, says."""
    return read_manifest(path) if path.name == MANIFEST else read_header(path)


class Removal(NamedTuple):
    """A file that may go, its size, and why."""

    path: Path
    bytes: int
    why: str


def opened(root: str | Path) -> Path:
    """The store's place.

    Raises:
        FileNotFoundError: nothing lies there, or the address does not answer.
    """
    place = storage.at(root)
    try:
        there = place.is_dir()
    except Exception as error:  # each kind of address has errors of its own
        raise FileNotFoundError(f"expected a feature store at {place}, found none: {error}") from error
    if not there:
        raise FileNotFoundError(f"expected a feature store, found nothing at {place}")
    return place


def parts(root: Path) -> list[Stored]:
    """All folders of features, by name."""
    files = defaultdict(list)
    for path in root.glob("*/*/*/*"):
        if FOLDER.fullmatch(path.parent.name) and FILE.fullmatch(path.name):
            files[str(path.parent)].append(path)
    found = sorted(files.items())
    return [
        Stored(paths[0].parent, sorted(paths, key=lambda p: (p.name == MANIFEST, p.name)))
        for _, paths in found
    ]


def heads(root: Path) -> list[Path]:
    """Files of zero-shot heads."""
    return sorted(root.glob("heads/*.safetensors"), key=str)


def bad_heads(root: Path) -> list[str]:
    """One line for each head that does not open, or has no metadata."""
    lines = []
    for path in heads(root):
        try:
            storage.tensors(path)
            if not storage.metadata(path):
                lines.append(f"{path}: expected a head with metadata, found none")
        except ValueError as error:
            lines.append(str(error))
    return lines


def superseded(found: Iterable[Stored]) -> list[Stored]:
    """Complete features in whose place newer ones exist, complete and sound.

    Newer: with a manifest of a later time, and the same names and choices (encoder, image set, point,
    precision, preprocessing, …), but of other weights, library versions or pictures.
    """
    groups = defaultdict(list)
    for stored in found:
        if stored.complete and stored.part:
            names = tuple(sorted(item for item in stored.identity.items() if item[0] not in AGES))
            groups[names].append((stored.files[-1].stat().st_mtime, stored))
    older = []
    for group in groups.values():
        group.sort(key=lambda entry: entry[0], reverse=True)
        newest = next((when for when, stored in group[: len(group) - 1] if not stored.problems), None)
        if newest is not None:
            older += [stored for when, stored in group if when < newest]
    return older


def removable(
    root: Path, unfinished: bool = False, damaged: bool = False, outdated: bool = False
) -> list[Removal]:
    """What may go, in the order in which it has to: of each folder the manifest last.

    Args:
        root: the store's place.
        unfinished: features without a manifest; extraction would go on with them.
        damaged: shards that are not as they were written, with their manifest; where the manifest itself is
            damaged, the whole folder.
        outdated: features that :func:`superseded` names.

    Returns:
        Partial files older than an hour, and what was asked for. Heads stay.
    """
    found = parts(root)
    going = {}
    for stored in superseded(found) if outdated else []:
        going |= dict.fromkeys(stored.files, "superseded")
    for stored in found:
        if unfinished and not stored.complete:
            going |= dict.fromkeys(stored.files, "unfinished")
        if damaged and (bad := stored.problems):
            vouched = stored.part is not None and not (stored.complete and stored.files[-1] in bad)
            alone = [path for path in stored.files if path in bad or path.name == MANIFEST]
            going |= dict.fromkeys(alone if vouched else stored.files, "damaged")
    for path in [*root.glob("*/*/*/*.partial"), *root.glob("heads/*.partial")]:
        if PARTIAL.fullmatch(path.name) and time.time() - path.stat().st_mtime > PARTIAL_AGE:
            going[path] = "left over"
    return [Removal(path, path.stat().st_size, why) for path, why in going.items()]


def remove(root: Path, removals: Iterable[Removal]) -> None:
    """Take files away, then the folders that this empties."""
    removals = list(removals)
    for removal in removals:
        removal.path.unlink(missing_ok=True)
    for folder in {removal.path.parent for removal in removals if isinstance(root, Path)}:
        with suppress(OSError):  # it is not empty
            while folder != root:
                folder.rmdir()
                folder = folder.parent
