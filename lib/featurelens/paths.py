"""Where things live: the project's own data, and the cache for what can be made again.

``FEATURELENS_DATA`` and ``FEATURELENS_CACHE`` override the two defaults.
"""

import os
from pathlib import Path

import pooch


def data() -> Path:
    """Folder of project-made data (``data/`` of the repository): checkpoints, result tables, claims.

    Raises:
        FileNotFoundError: the library was installed without its repository.
    """
    folder = Path(os.environ.get("FEATURELENS_DATA") or Path(__file__).parents[2] / "data")
    if not folder.is_dir():
        raise FileNotFoundError(f"no data folder at {folder}: clone the repository or set FEATURELENS_DATA")
    return folder


def cache() -> Path:
    """Folder for what can be made again: downloads, rendered images, extracted features."""
    folder = Path(os.environ.get("FEATURELENS_CACHE") or pooch.os_cache("featurelens"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
