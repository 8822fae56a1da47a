"""Where labels of concepts come from, and one way to load any of them.

Broden, annotations in COCO's format, any folder of folders of pictures, every image set that has labels or
masks, and the miniature, whose concepts are known because it was drawn.
"""

from pathlib import Path

import torch

from featurelens import broden, coco, concept_folders, concept_labels, imagesets, tar_shards
from featurelens.concept_labels import ConceptSet
from featurelens.imagesets import ImageSet
from featurelens.miniature import masks, sets

__all__ = ["ConceptSet", "from_imageset", "load"]

# What the labels of an image set say, where that is neither an object nor in their own name.
_CLASSES = {"dtd10": "texture"}
_ATTRIBUTES = {"domain": "style"}
NOTHING = "unlabelled"  # class of the pixels that nobody labelled
_BLOCK = 256  # pictures of the miniature whose masks are in memory at once


def load(name: str | Path) -> ConceptSet:
    """Load pictures with their concepts, by name or path.

    ======================================  ==================================================
    name of an image set, folder of shards  ``from_imageset(imagesets.load(name))``
    folder with ``index.csv``               Broden's format: :func:`featurelens.broden.load`
    file ``instances_….json``               COCO's format: :func:`featurelens.coco.load`
    any other folder or ``.tar``            a folder a concept: :func:`featurelens.concept_folders.load`
    ======================================  ==================================================

    Raises:
        UnknownNameError: no such image set.
        Unreachable: a named image set that is not on this machine.
        FileNotFoundError, ValueError: nothing there, or not what it should be.
    """
    path = Path(name).expanduser()
    if str(name) in imagesets.names() or not path.exists() or tar_shards.split_of(path):
        return from_imageset(imagesets.load(name))
    if path.suffix == ".json":
        return coco.load(path)
    if (path / "index.csv").is_file():
        return broden.load(path)
    annotations = [*path.glob("instances_*.json"), *path.glob("annotations/instances_*.json")]
    if annotations:
        raise ValueError(f"{path.name}: expected the annotations by name, such as {annotations[0].name}")
    return concept_folders.load(path)


def from_imageset(images: ImageSet) -> ConceptSet:
    """Read concepts from what an image set knows.

    Masks: a class is present where a pixel has it. Labels: each name of a class and each value of an
    attribute that occurs is a concept. Sets of the miniature: their masks, with all categories.

    Raises:
        ValueError: an image set without labels, or whose masks cannot be read.
    """
    if images.name.startswith("miniature/"):
        return _of_miniature(images)
    return _of_masks(images) if images.mask else _of_labels(images)


def _of_miniature(images: ImageSet) -> ConceptSet:
    pictures = sets.load(images.name.removeprefix("miniature/")).pictures
    blocks = [masks.masks(pictures[i : i + _BLOCK]) for i in range(0, len(pictures), _BLOCK)]
    categories = list(blocks[0].categories)
    names = concept_labels.distinct(blocks[0].names, categories)
    return ConceptSet(images, names, categories, torch.cat([block.present_NT for block in blocks]))


def _of_masks(images: ImageSet) -> ConceptSet:
    def classes(i: int) -> list[int]:
        found = images.mask(i).unique().tolist()
        if max(found) >= len(images.classes):
            expected = f"classes 0 to {len(images.classes) - 1}"
            raise ValueError(f"expected {expected} in the mask, found {max(found)}")
        return found

    found, unread = concept_labels.read_each(classes, range(len(images)), "masks")
    images, rows, failures = concept_labels.without(images, unread)
    keep = [t for t, name in enumerate(images.classes) if name != NOTHING]
    present_NT = concept_labels.of_rows((found[i] for i in rows), len(images.classes))[:, keep]
    names = [images.classes[t] for t in keep]
    return ConceptSet(images, names, ["object"] * len(names), present_NT, None, failures)


def _of_labels(images: ImageSet) -> ConceptSet:
    columns = {
        _ATTRIBUTES.get(attribute, attribute): values for attribute, values in images.attributes.items()
    }
    if images.y_N is not None:
        columns = {_CLASSES.get(images.name, "object"): [images.classes[y] for y in images.y_N], **columns}
    if not columns:
        raise ValueError(f"{images.name}: expected classes, attributes or masks, found pictures only")
    concepts = [(name, category) for category, values in columns.items() for name in sorted(set(values))]
    position = {concept: t for t, concept in enumerate(concepts)}
    rows = zip(
        *([position[name, category] for name in values] for category, values in columns.items()), strict=True
    )
    categories = [category for _, category in concepts]
    names = concept_labels.distinct([name for name, _ in concepts], categories)
    return ConceptSet(images, names, categories, concept_labels.of_rows(rows, len(concepts)))
