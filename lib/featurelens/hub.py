"""Folders and repositories of the Hugging Face hub: whose networks they hold, and what to do without."""

import json
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError

from featurelens.scales import Unreachable

HUB, FOLDER = SOURCES = ("hf-hub:", "local-dir:")
CONFIG, TIMM_CONFIG = CONFIGS = ("open_clip_config.json", "config.json")


def is_model(folder: Path) -> bool:
    """Whether a folder holds a network as open_clip or timm writes it."""
    return any((folder / name).is_file() for name in CONFIGS)


def holds_clip(source: str) -> bool:
    """Whether ``local-dir:<folder>`` or ``hf-hub:<repository>`` is open_clip's; if not, it is timm's.

    Raises:
        FileNotFoundError: a folder without the configuration of either.
        ValueError: a configuration that is no JSON.
        Unreachable: a repository of which neither is cached or to be fetched.
    """
    if source.startswith(FOLDER):
        there = [name for name in CONFIGS if Path(source.removeprefix(FOLDER), name).is_file()]
        if not there:
            raise FileNotFoundError(
                f"{source}: expected {' or '.join(CONFIGS)} in that folder, found neither"
            )
        try:
            json.loads(Path(source.removeprefix(FOLDER), there[0]).read_text())
        except ValueError as error:
            raise ValueError(f"{source}: expected JSON in {there[0]}, found: {line(error)}") from error
        return there[0] == CONFIG
    repository, last = source.removeprefix(HUB), None
    for name in CONFIGS:
        try:
            hf_hub_download(repository, name)
        except EntryNotFoundError as error:  # not in the repository, or not in the cache and no network
            last = error
        except (OSError, ValueError) as error:  # no such repository, or no name of one
            raise unreachable(source, repository, error) from error
        else:
            return name == CONFIG
    raise unreachable(source, repository, last)


def unreachable(what: str, repository: str, error: Exception) -> Unreachable:
    """The error for weights that are neither cached nor to be fetched: why, and what to do."""
    return Unreachable(
        f"weights of {what}: neither cached nor to be fetched ({line(error)}): where there is a network run "
        f"`hf download {repository}`, and let HF_HOME name the folder of that cache here"
    )


def line(error: Exception) -> str:
    """First sentence of a message, on one line."""
    return " ".join(str(error).split()).partition(". ")[0][:200].rstrip(".")
