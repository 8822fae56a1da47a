"""Colour concepts of any picture, from its pixels: the eleven basic colour terms of English.

Each pixel gets one term from ``tables/colour_terms.csv``: its rows are boxes in hue (degrees), saturation and
value (percent), and the first that holds the pixel names it. The boxes are this book's. A picture shows a
colour if at least ``SHARE`` of its pixels do: unlike a labelled object, a stray pixel of any colour is in
nearly every photograph.

The terms: Berlin and Kay, "Basic Color Terms" (1969); Broden has the same eleven.
"""

import csv
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from featurelens import concept_labels
from featurelens.concept_labels import ConceptSet

TABLE = Path(__file__).parent / "tables" / "colour_terms.csv"
SHARE = 0.1
_FULL = {"hue": 360, "saturation": 100, "value": 100}  # what Pillow writes as 255


@cache
def names() -> list[str]:
    """The eleven terms, in the order of the table."""
    return list(dict.fromkeys(name for name, _ in _boxes()))


@cache
def _boxes() -> list[tuple[str, list[tuple[int, int]]]]:
    """Name and bounds, both included, of each box; in Pillow's units."""
    with TABLE.open(newline="") as file:
        return [(row["name"], [_bounds(row, axis) for axis in _FULL]) for row in csv.DictReader(file)]


def _bounds(row: dict[str, str], axis: str) -> tuple[int, int]:
    low, high = (float(row[f"{axis}_{end}"]) * 255 / _FULL[axis] for end in ("from", "to"))
    return int(np.ceil(low)), int(np.floor(high))


def shares(image: Image.Image) -> torch.Tensor:
    """Share of the pixels of each term, in the order of ``names()``; they sum to 1.

    >>> dict(zip(names(), shares(Image.new("RGB", (4, 4), "red")).tolist()))["red"]
    1.0
    """
    hsv_HW = [np.asarray(channel) for channel in image.convert("HSV").split()]
    term_HW = np.zeros(hsv_HW[0].shape, np.uint8)
    for name, bounds in reversed(_boxes()):  # what comes first in the table is written last
        inside = [(low <= x_HW) & (x_HW <= high) for x_HW, (low, high) in zip(hsv_HW, bounds, strict=True)]
        term_HW[inside[0] & inside[1] & inside[2]] = names().index(name)
    count_T = np.bincount(term_HW.ravel(), minlength=len(names()))
    return torch.from_numpy(count_T / count_T.sum())


def with_colours(concepts: ConceptSet) -> ConceptSet:
    """Add the eleven colours, of the category ``color``, to concepts that have none of it.

    Every picture is decoded; one that does not decode is left out and recorded.

    Raises:
        ValueError: there are colours already, or no picture decodes.
    """
    if "color" in concepts.categories:
        raise ValueError(f"{concepts.images.name}: expected concepts without colours, found some already")
    images = concepts.images
    found, unread = concept_labels.read_each(
        lambda i: shares(images[i]) >= SHARE, range(len(images)), "colours"
    )
    images, rows, failures = concept_labels.without(images, unread)
    colour_NT, known_NT = torch.stack([found[i] for i in rows]), concepts.known_NT
    if known_NT is not None:
        known_NT = torch.cat([known_NT[rows], torch.ones_like(colour_NT)], dim=1)
    categories = concepts.categories + ["color"] * len(names())
    return replace(
        concepts,
        images=images,
        names=concept_labels.distinct([*concepts.names, *names()], categories),
        categories=categories,
        present_NT=torch.cat([concepts.present_NT[rows], colour_NT], dim=1),
        known_NT=known_NT,
        failures=concepts.failures + failures,
    )
