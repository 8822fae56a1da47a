"""Which of ImageNet's 1,000 classes an image set has, and how a 1,000-class head is scored on it.

The rule is the imagenet-testbed's (Taori et al., "Measuring robustness to natural distribution shifts in
image classification", 2020): the scores of the classes that the set does not have are left out, the largest
of the others decides, and it is right if its class stands for the label.

=====================  ==========  ==========================================================================
``val v2 sketch``      1,000 rows  a label is the number of the class
``r`` and ``a``        200 rows    a label is the place among the set's own WordNet ids, sorted
``objectnet``          125 rows    a label is one of 113 classes, each of which 1 to 3 of the rows stand for
=====================  ==========  ==========================================================================

ObjectNet's labels follow its sorted *folders*, not its class names: ``full_sized_towel`` holds what the list
of names calls "Bath towel". CLIP-benchmark numbers the classes so, and ``fit`` compares its list of names.
Its pictures have a red border of 2 pixels, which the testbed cuts off and nothing here does.
"""

import re
from typing import NamedTuple

import torch

from featurelens import checks, heads, hub_imagesets
from featurelens.heads import LinearHead

NAMES = tuple(hub_imagesets.table())
# ObjectNet's folders are its class names in small letters, apart from these.
_FOLDERS = {
    "Bath towel": "full_sized_towel",
    "Butcher's knife": "butchers_knife",
    "Dishrag or hand towel": "hand_towel_or_rag",
    "Drying rack for plates": "drying_rack_for_dishes",
    "T-shirt": "t-shirt",
}
LEAST_FIT = 0.9  # share of the names that must be known names of their classes


class Subset(NamedTuple):
    """Rows of a 1,000-class head, R of them, that an image set has.

    Attributes:
        rows_R: number of each row in the head, ascending.
        group_R: the label that each row stands for, 0 to G - 1; every label has a row.
        classes: name of each label, G of them.
    """

    rows_R: torch.Tensor
    group_R: torch.Tensor
    classes: list[str]

    def predict(self, scores_NR: torch.Tensor) -> torch.Tensor:
        """Label of the row with the largest score, for each image (of equal scores the first).

        Raises:
            ValueError: not one score a row.
        """
        if scores_NR.ndim != 2 or scores_NR.shape[1] != len(self.rows_R):
            found = tuple(scores_NR.shape)
            raise ValueError(f"expected scores of {len(self.rows_R)} rows for each image, found {found}")
        return self.group_R.to(scores_NR.device)[scores_NR.argmax(1)]


def of(name: str) -> Subset:
    """Rows and labels of an image set, by its name.

    Raises:
        UnknownNameError: no set of ImageNet's classes.
    """
    checks.known("set of ImageNet's classes", name, NAMES)
    rule, names = hub_imagesets.table()[name]["head"], heads.imagenet("name")
    if rule == "objectnet":
        return _objectnet()
    has = ["1"] * len(names) if rule == "all" else heads.imagenet(rule)
    rows = [i for i, flag in enumerate(has) if flag == "1"]
    return Subset(torch.tensor(rows), torch.arange(len(rows)), [names[i] for i in rows])


def _objectnet() -> Subset:
    column = heads.imagenet("objectnet")
    classes = sorted(set(filter(None, column)), key=_folder)
    rows = [i for i, label in enumerate(column) if label]
    return Subset(torch.tensor(rows), torch.tensor([classes.index(column[i]) for i in rows]), classes)


def _folder(label: str) -> str:
    return _FOLDERS.get(label) or re.sub(r"[^a-z]+", "_", label.lower()).strip("_")


def head(whole: LinearHead, name: str) -> LinearHead:
    """Only the rows that an image set has; ``of(name).predict`` reads the scores.

    Raises:
        UnknownNameError: no set of ImageNet's classes.
        ValueError: not a head of 1,000 classes.
    """
    rows_R, total = of(name).rows_R, len(heads.imagenet("index"))
    if len(whole.w_CD) != total:
        raise ValueError(f"expected a head of ImageNet's {total:,} classes, found {len(whole.w_CD):,}")
    b_R = None if whole.b_C is None else whole.b_C[rows_R]
    return LinearHead(whole.w_CD[rows_R], b_R, whole.point)


def fit(name: str, classes: list[str]) -> None:
    """Refuse a list of class names in another order or of other classes than ``of(name)``.

    A name fits if it is one that open_clip or WordNet gives the class, capitals and marks aside. Lists of
    ImageNet's names were edited over the years, so a few may be new.

    Raises:
        ValueError: another number of names, or too few that fit.
    """
    subset = of(name)
    if len(classes) != len(subset.classes):
        raise ValueError(f"{name}: expected {len(subset.classes)} class names, found {len(classes)}")
    misfits = [i for i, names in enumerate(_known(name, subset)) if _plain(classes[i]) not in names]
    if len(misfits) > (1 - LEAST_FIT) * len(classes):
        i = misfits[0]
        raise ValueError(
            f"{name}: expected class {i} to be {subset.classes[i]!r}, found {classes[i]!r}; "
            f"{len(misfits)} of {len(classes)} names do not fit"
        )


def _known(name: str, subset: Subset) -> list[set[str]]:
    """Names that each label may have."""
    if hub_imagesets.table()[name]["head"] == "objectnet":
        return [{_plain(label)} for label in subset.classes]
    from open_clip import IMAGENET_CLASSNAMES

    words = [
        [*label.split(","), IMAGENET_CLASSNAMES[row]]
        for row, label in zip(subset.rows_R, subset.classes, strict=True)
    ]
    return [{_plain(word) for word in names} for names in words]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
