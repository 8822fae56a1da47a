"""Labels that are written in the names of files: one rule for each way in which image sets do it.

A rule maps the keys of a set to its class names, the class of each key (or None) and further attributes.
"""

import re
from pathlib import PurePosixPath

from featurelens import heads

Labels = tuple[list[str], list[int] | None, dict[str, list[str]]]

# Pixel value = position; Brostow et al., "Semantic object classes in video", 2009, in the 11-class reading.
CAMVID = "sky building pole road pavement tree sign fence car pedestrian bicyclist unlabelled".split()  # noqa: SIM905


def by_folder(keys: list[str]) -> Labels:
    """First folder = class, if every key has one; folders that are all integers sort as integers.

    ImageNet-V2's folders are named 0 … 999: sorted as text, 10 would come before 2.
    """
    folders = [PurePosixPath(key).parts[0] if "/" in key else None for key in keys]
    if None in folders:
        return [], None, {}
    unique = set(folders)
    integers = all(re.fullmatch(r"\d+", folder) for folder in unique)
    classes = sorted(unique, key=(lambda f: (int(f), f)) if integers else None)
    number = {name: i for i, name in enumerate(classes)}
    return classes, [number[folder] for folder in folders], {}


def by_domain(keys: list[str]) -> Labels:
    """``<domain>/<class>/<file>``."""
    domains, below = zip(*(key.split("/", 1) for key in keys), strict=True)
    classes, y, _ = by_folder(list(below))
    return classes, y, {"domain": list(domains)}


def by_wnid(keys: list[str]) -> Labels:
    """``<wnid>_<name>.<suffix>``, with the 1,000 ImageNet classes in their order."""
    index = {wnid: i for i, wnid in enumerate(heads.imagenet("wnid"))}
    return heads.imagenet("name"), [index[PurePosixPath(key).name.split("_")[0]] for key in keys], {}


def by_shape(keys: list[str]) -> Labels:
    """``<shape><i>.<suffix>`` or ``<shape><i>-<texture><j>.<suffix>``, the 16 categories of Geirhos et al."""
    classes, _ = heads.imagenet_groups("geirhos16")
    words = [re.findall(r"([a-z]+)\d+", PurePosixPath(key).stem) for key in keys]
    textures = {"texture": [pair[1] for pair in words]} if all(len(pair) == 2 for pair in words) else {}
    return classes, [classes.index(pair[0]) for pair in words], textures


def frames_and_masks(keys: list[str]) -> tuple[list[int], list[int]]:
    """Positions of ``img/<frame>.jpg`` and, in the same order, of ``annot/<frame>.png``."""
    at = {key: i for i, key in enumerate(keys)}
    frames = [key for key in keys if key.startswith("img/")]
    return [at[key] for key in frames], [at[f"annot/{PurePosixPath(key).stem}.png"] for key in frames]


RULES = {
    "folder": by_folder,
    "domain": by_domain,
    "wnid": by_wnid,
    "shape": by_shape,
    "masks": lambda keys: (CAMVID, None, {}),
}
