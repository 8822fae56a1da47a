"""Concepts from annotations in COCO's format: a picture has every category that one of its objects has.

An object counts whatever its size, and so does a crowd; outlines are not needed for that.
Lin et al., "Microsoft COCO: Common Objects in Context" (2014).
"""

import json
from collections import Counter
from pathlib import Path

from featurelens import concept_labels
from featurelens.concept_labels import ConceptSet

_FIELDS = {
    "images": ("id", "file_name"),
    "annotations": ("image_id", "category_id"),
    "categories": ("id", "name"),
}


def load(path: str | Path) -> ConceptSet:
    """Load ``instances_<set>.json`` and the pictures of the folder ``<set>``.

    The folder lies beside the file, or beside the folder ``annotations`` that holds it. A supercategory is
    the category of its concepts, which are ``object`` without one. Every category was looked for in every
    picture. A picture that is missing, or with an annotation of no listed category, is left out and recorded.

    Raises:
        FileNotFoundError: no such file, or no folder of pictures.
        ValueError: not JSON, not of this format, or no picture that can be read.
    """
    path = Path(path).expanduser().absolute()
    data, folder = _parsed(path), _folder(path)
    position = {category["id"]: t for t, category in enumerate(data["categories"])}
    row_of = {picture["id"]: i for i, picture in enumerate(data["images"])}
    concepts_N, unread, failures = [set() for _ in data["images"]], {}, []
    for annotation in data["annotations"]:
        i, t = row_of.get(annotation["image_id"]), position.get(annotation["category_id"])
        if i is None:
            failures.append({"key": f"image {annotation['image_id']}", "reason": "annotated, but not listed"})
        elif t is None:
            unread[i] = f"expected a listed category, found {annotation['category_id']}"
        else:
            concepts_N[i].add(t)
    keys = [picture["file_name"] for picture in data["images"]]
    keep, files, unreadable = concept_labels.readable(folder, keys, unread)
    categories = [category.get("supercategory") or "object" for category in data["categories"]]
    names = concept_labels.distinct([category["name"] for category in data["categories"]], categories)
    present_NT = concept_labels.of_rows((concepts_N[i] for i in keep), len(names))
    images = concept_labels.image_set(folder.name, files)
    return ConceptSet(images, names, categories, present_NT, None, failures + unreadable)


def _parsed(path: Path) -> dict[str, list[dict]]:
    if not path.is_file():
        raise FileNotFoundError(f"expected annotations in COCO's format, found nothing at {path.name}")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name}: expected JSON, found: {error}") from None
    for name, keys in _FIELDS.items():
        rows = data.get(name) if isinstance(data, dict) else None
        if not isinstance(rows, list) or not all(isinstance(r, dict) and r.keys() >= set(keys) for r in rows):
            raise ValueError(f"{path.name}: expected a list {name!r} of objects with {' and '.join(keys)}")
        twice = [i for i, count in Counter(row.get("id") for row in rows).items() if count > 1]
        if twice and "id" in keys:
            raise ValueError(
                f"{path.name}: expected each id of {name!r} once, found {twice[0]} more than once"
            )
    return data


def _folder(path: Path) -> Path:
    name = path.stem.removeprefix("instances_")
    places = [path.parent / name, path.parent.parent / name][: 2 if path.parent.name == "annotations" else 1]
    found = [place for place in places if place.is_dir()]
    if not found:
        raise FileNotFoundError(
            f"{path.name}: expected its pictures in a folder {name} beside it, found none"
        )
    return found[0]
