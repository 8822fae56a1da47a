"""What the book's explorers show: networks and pictures of the miniature.

Numbers are over all images of ``base-val``; pictures are shown of its first ones, so that a page stays small.
"""

import torch

from featurelens import extract, imagesets, zoo
from featurelens.concepts import Labels
from featurelens.explorers import Searched, Sheet, search, sheet
from featurelens.miniature import concepts as small
from featurelens.miniature import grown, world
from featurelens.miniature.captions import synonyms

BASE = "miniature/base-val"
PICTURES = 600  # shown, 50 of each class; the file of 4,000 would be 2 MB
# Network and feature point of each view; ResNets with one seed, so that only the training differs.
KURTOSIS_VIEWS = {
    "clip-outliers, joint space": (grown.NAME, "joint"),
    "clip-web, joint space": (grown.COMPANION, "joint"),
    "clip-web, before the projection": (grown.COMPANION, "pre"),
    "supervised, before the head": ("supervised-resnet-s0", "pre"),
}
CONCEPT_VIEWS = {
    "clip-web": grown.COMPANION,
    "supervised": "supervised-resnet-s0",
    "random-init": "random-init-resnet-s0",
}


def miniature_sheet(count: int = PICTURES) -> Sheet:
    """Return the first ``count`` pictures of ``base-val``, described by the world's own attributes."""
    images = imagesets.load(BASE)
    described = words(world.sample("base-val", torch.arange(count)))
    return sheet([images[i] for i in range(count)], described)


def words(pictures: world.Pictures) -> list[str]:
    """Say what each picture shows: style, texture, colours, material, object and scene."""
    kinds = ("style", "texture", "colour", "material", "object", "colour2", "scene")
    columns = {kind: getattr(pictures, kind).tolist() for kind in kinds}
    out = []
    for row in range(len(pictures)):
        kind = {k: world.names("colour" if k == "colour2" else k)[columns[k][row]] for k in kinds}
        said = {k: synonyms()["colour" if k == "colour2" else k, name][0] for k, name in kind.items()}
        text = "{style} of a {texture} {colour} {material} {object} with {colour2} parts, {scene}"
        out.append(text.format(**said))
    return out


def kurtosis_features() -> dict[str, torch.Tensor]:
    """Return features of ``base-val`` for each of ``KURTOSIS_VIEWS``."""
    images = imagesets.load(BASE)
    return {
        view: extract.features(zoo.load(f"miniature/{name}"), images, point=point).h_ND
        for view, (name, point) in KURTOSIS_VIEWS.items()
    }


def concept_searches(judged: Labels) -> dict[str, Searched]:
    """Search the coordinates of each of ``CONCEPT_VIEWS`` where its head reads, as chapter 4 does."""
    found = {}
    for view, name in CONCEPT_VIEWS.items():
        head = zoo.load(f"miniature/{name}").head
        h_ND, directions = small.searched(name)[head.point if head is not None else "joint"]
        found[view] = search(h_ND, directions["features"], judged, PICTURES)
    return found
