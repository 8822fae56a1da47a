"""Files that others publish: found in a mirror folder or fetched from a pinned address, always verified.

``published.csv`` lists what the book reads: a short key, the path in a mirror, the address (pinned by
commit), the sha256, the size and the licence. None of these files is part of the repository.
"""

import csv
import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pooch
from requests.exceptions import RequestException

from featurelens import checks, paths, storage
from featurelens.scales import Unreachable

CONNECT_SECONDS, READ_SECONDS = 5, 60


class Entry(NamedTuple):
    """One published file; ``path`` is owner/repository/commit/file, the layout of a mirror folder."""

    key: str
    path: str
    url: str
    sha256: str
    bytes: int
    licence: str


@cache
def registry() -> dict[str, Entry]:
    """Return the published files by short key."""
    with Path(__file__).with_suffix(".csv").open(newline="") as file:
        return {row["key"]: Entry(**{**row, "bytes": int(row["bytes"])}) for row in csv.DictReader(file)}


def fetch(key: str) -> Path:
    """Return a verified local copy of the file named by its short key (``"testbed/top1"``) or its path.

    A file in the folder ``FEATURELENS_MIRROR`` is used where it lies; otherwise the file is downloaded once
    into the cache folder.

    Raises:
        UnknownNameError: no such key; the message names the nearest ones.
        ValueError: a file whose sha256 is not the registered one.
        Unreachable: neither in a mirror nor in the cache, and no answer from its address.
    """
    entry = {each.path: each for each in registry().values()}.get(key)
    entry = entry or registry()[checks.known("published file", key, registry())]
    mirror = os.environ.get("FEATURELENS_MIRROR")
    if mirror and (found := Path(mirror) / entry.path).is_file():
        return _verified(found, entry)
    return _downloaded(entry)


def _verified(file: Path, entry: Entry) -> Path:
    """Return ``file`` if it has the registered hash."""
    storage.same(file, storage.sha256(file), entry.sha256)
    return file


def _downloaded(entry: Entry) -> Path:
    """Return the cached copy, downloading it if need be; a partial download never gets the final name."""
    file = paths.cache() / "published" / entry.path
    pooch.get_logger().setLevel("WARNING")  # it would print the reader's own folders into a page
    try:
        pooch.retrieve(
            entry.url,
            known_hash=f"sha256:{entry.sha256}",
            fname=file.name,
            path=file.parent,
            downloader=pooch.HTTPDownloader(timeout=(CONNECT_SECONDS, READ_SECONDS)),
        )
    except RequestException as error:
        why = type(error).__name__
        raise Unreachable(f"{entry.key}: not in FEATURELENS_MIRROR, and {entry.url} gave {why}") from None
    except ValueError as error:
        raise ValueError(f"{entry.url}: {error}") from None
    return file
