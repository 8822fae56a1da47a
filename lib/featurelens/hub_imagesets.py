"""ImageNet's validation set and its five shifts, in CLIP-benchmark's layout: from a folder, or from the hub.

The rows of ``tables/hub_imagesets.csv``. Nothing is fetched before a set is asked for.
"""

import csv
import os
from functools import cache
from pathlib import Path

import huggingface_hub
from huggingface_hub import errors

from featurelens.scales import Unreachable

TABLE = Path(__file__).parent / "tables" / "hub_imagesets.csv"
SPLIT = "test"


@cache
def table() -> dict[str, dict[str, str]]:
    """Facts of each set by its name: repository on the hub, images, classes, terms, how to get it."""
    with TABLE.open(newline="") as file:
        return {row.pop("name"): row for row in csv.DictReader(file)}


def folder(name: str) -> Path:
    """Folder of the set's tars: in ``FEATURELENS_IMAGES`` if it is there, or else in the hub's cache.

    What is not in the cache yet is downloaded (gigabytes), once.

    Raises:
        Unreachable: it is not here and cannot be downloaded; the message says where it is and what to accept.
    """
    hub = table()[name]["hub"]
    images = os.environ.get("FEATURELENS_IMAGES")
    if images and (local := Path(images).expanduser() / hub.rpartition("/")[2]).is_dir():
        return local / SPLIT
    patterns = ["classnames.txt", f"{SPLIT}/*"]
    try:
        found = huggingface_hub.snapshot_download(hub, repo_type="dataset", allow_patterns=patterns)
    # Besides the hub's own errors there are those of whichever HTTP package it uses.
    except Exception as error:
        raise Unreachable(f"image set {name!r}: {_why(error)}; {_how(name)}") from error
    return Path(found) / SPLIT


def _why(error: Exception) -> str:
    if isinstance(error, errors.GatedRepoError):
        return "its terms were not accepted, or nobody is logged in"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "the hub does not show it to this account"
    if isinstance(error, (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled)):
        return "it is not on this machine and the hub does not answer"
    return f"the download failed ({type(error).__name__})"


def _how(name: str) -> str:
    row = table()[name]
    place = f"put its folder {row['hub'].rpartition('/')[2]} into FEATURELENS_IMAGES"
    return f"on the hub: {row['hub']} (dataset; {row['access']}; terms: {row['terms']}), or {place}"
