"""How often a signature was right about robustness among the references, each family left out in turn.

Models of one maker are no independent evidence, and neither are the networks of one training regime of the
miniature. So families are counted, not models: a rule is fitted without a family, then asked about it.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from featurelens import scan_references

CONFIDENCE = 0.95
# Where rules are tried: every real feature set, those of images alone, and the miniature.
WORLDS = {
    "real": "world == 'real'",
    "real, images only": "world == 'real' and side == 'image'",
    "miniature": "world == 'miniature'",
}


class Outcome(NamedTuple):
    """What a rule, fitted without a family, said about it.

    Attributes:
        family, robust: which, and whether it is robust.
        said: *robust*, *not robust*, *both* (of different models), or *nothing* where no cut could be fitted.
        right: whether it was right, for more than half of the models.
    """

    family: str
    robust: bool
    said: str
    right: bool


class Record(NamedTuple):
    """A rule in one world.

    Attributes:
        rule, world: which.
        outcomes: one for each family with a known robustness.
        right: how many were right.
        low, high: 95 % interval of the share that would be, Clopper and Pearson's.
    """

    rule: str
    world: str
    outcomes: list[Outcome]
    right: int
    low: float
    high: float

    @property
    def supported(self) -> bool:
        """Whether the rule is better than guessing, beyond doubt.

        The whole interval lies above one half, and the rule is right about most families of either kind:
        where nearly all are robust, one that calls everything robust is right about nearly all.
        """
        kinds = [[each.right for each in self.outcomes if each.robust == robust] for robust in (True, False)]
        return self.low > 0.5 and all(kind and np.mean(kind) > 0.5 for kind in kinds)


def known(references: pd.DataFrame, world: str) -> pd.DataFrame:
    """Return the references of a world whose robustness is known, with ``robust``."""
    rows = references.query(WORLDS[world]).dropna(subset="er")
    return rows.assign(robust=rows["er"] >= scan_references.robust_from())


def cut(rows: pd.DataFrame, column: str) -> float | None:
    """Return the value of ``column`` that separates robust references best, families weighing alike.

    The share of robust and that of other families on the right side is averaged. Of cuts that do equally
    well the one in the widest gap (in logarithms) is taken, half-way.

    Returns:
        The cut, or None where no cut does better than one half: nothing was learned.
    """
    weights = 1 / rows.groupby("family")["family"].transform("size").to_numpy(float)
    x, robust = rows[column].to_numpy(float), rows["robust"].to_numpy(bool)
    values = np.unique(x[x > 0])
    if not robust.any() or robust.all() or len(values) < 2:
        return None
    best = (0.5, 0.0, None)
    for below, above in pairwise(values):
        middle = float(np.sqrt(below * above))
        hits = [
            np.average((x >= middle)[robust == side] == side, weights=weights[robust == side])
            for side in (True, False)
        ]
        score = (round(float(np.mean(hits)), 9), float(np.log(above / below)))
        if score[0] > 0.5 and score > best[:2]:
            best = (*score, middle)
    return best[2]


def record(references: pd.DataFrame, rule: str, world: str) -> Record:
    """Return how often a rule was right about families it had not seen.

    A rule with a fixed cut has nothing to fit; where a fitted one learned nothing, it is not right.
    """
    column, fixed = scan_references.rules().loc[rule, ["column", "cut"]]
    rows, outcomes = known(references, world), []
    for family, own in rows.groupby("family", sort=False):
        threshold = cut(rows[rows["family"] != family], column) if np.isnan(fixed) else fixed
        said = says(own[column], threshold)
        share = (
            (said == own["robust"].map({True: "robust", False: "not robust"})).groupby(own["label"]).mean()
        )
        words = said.iloc[0] if said.nunique() == 1 else "both"
        robust = bool(own["robust"].mean() > 0.5)
        outcomes.append(Outcome(str(family), robust, words, bool(share.mean() > 0.5)))
    right = sum(outcome.right for outcome in outcomes)
    return Record(rule, world, outcomes, right, *interval(right, len(outcomes)))


def says(x: pd.Series, threshold: float | None) -> pd.Series:
    """Return what a rule says of each value: *robust* from the cut on; *nothing* without a cut."""
    if threshold is None:
        return pd.Series("nothing", x.index)
    return (x >= threshold).map({True: "robust", False: "not robust"})


def interval(right: int, n: int) -> tuple[float, float]:
    """Return Clopper and Pearson's interval of a share; all of [0, 1] where nothing was tried."""
    if n == 0:
        return 0.0, 1.0
    found = stats.binomtest(right, n).proportion_ci(CONFIDENCE, "exact")
    return float(found.low), float(found.high)


def records(references: pd.DataFrame) -> list[Record]:
    """Return every rule in every world."""
    return [record(references, rule, world) for rule in scan_references.rules().index for world in WORLDS]
