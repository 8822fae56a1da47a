"""Where a model stands among the references, in words no stronger than the evidence."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from featurelens import scan_evidence, scan_measures, scan_references
from featurelens.scan_evidence import Record
from featurelens.scan_fields import shown

ONE = 0.25  # of the kurtosis from one coordinate: more than where many take turns


class Standing(NamedTuple):
    """A rule and this model: its value, the cut among all real references (None: no cut fits), its word.

    The word is *nothing* where no cut fits, or where the rule's record supports no word.
    """

    rule: str
    meaning: str
    value: float
    cut: float | None
    says: str


class Verdict(NamedTuple):
    """A verdict, or why there is none.

    Attributes:
        supported: whether the main rule is better than guessing among real families, see
            :attr:`featurelens.scan_evidence.Record.supported`.
        says: *robust* or *not robust*, by the main rule; None where it is not supported.
        sentences: the verdict in words.
        limits: what it cannot say.
        standings: every rule and this model.
        records: how often every rule was right, see :mod:`featurelens.scan_evidence`.
    """

    supported: bool
    says: str | None
    sentences: list[str]
    limits: list[str]
    standings: list[Standing]
    records: list[Record]


def verdict(values: Mapping[str, float], references: pd.DataFrame | None = None) -> Verdict:
    """Return the verdict on a model whose scan gave ``values``.

    Args:
        values: of :func:`featurelens.scan_measures.measure`.
        references: as :func:`featurelens.scan_references.table`, the default.
    """
    references = scan_references.table() if references is None else references
    records, main = scan_evidence.records(references), scan_references.rules().index[0]
    record_of = {each.world: each for each in records if each.rule == main}
    supported = {each.rule for each in records if each.world == "real" and each.supported}
    standings = _standings(values, scan_evidence.known(references, "real"), supported)
    says = standings[0].says if main in supported else None
    sentences = [
        _sign(values),
        f"Rule “{main}”, by family of models: {_counted(record_of['real'])}.",
        f"The same in the miniature, by training regime: {_counted(record_of['miniature'])}.",
        _alike(references, values, main),
        _conclusion(says, record_of["real"]),
    ]
    return Verdict(says is not None, says, sentences, _limits(values, references), standings, records)


def _standings(values: Mapping[str, float], known: pd.DataFrame, supported: set[str]) -> list[Standing]:
    own, found = {**values, "outlier_share": values["top_share"]}, []
    for rule, (column, fixed, meaning) in scan_references.rules()[["column", "cut", "meaning"]].iterrows():
        cut = scan_evidence.cut(known, column) if np.isnan(fixed) else fixed
        [says] = scan_evidence.says(pd.Series([own[column]]), cut)
        found.append(Standing(rule, meaning, own[column], cut, says if rule in supported else "nothing"))
    return found


def _sign(values: Mapping[str, float]) -> str:
    count, times = values["outliers"], f"{values['kurtosis'] / values['kurtosis_gaussian']:.1f} times"
    if count:
        named = "one outlier coordinate" if count == 1 else f"{count} outlier coordinates"
        return (
            f"It has {named}, and {times} the kurtosis of Gaussian features: the sign that Crabbé et al. "
            "(2024) report for robust zero-shot CLIP encoders."
        )
    if values["kurtosis"] >= scan_measures.HEAVY * values["kurtosis_gaussian"]:
        if values["top_share"] >= ONE:
            return (
                f"It has {times} the kurtosis of Gaussian features, {values['top_share']:.0%} of it from one "
                "coordinate, which is no outlier coordinate by the definition: it does not stand out in half "
                "of the images. Look at those where it does."
            )
        return (
            f"It has {times} the kurtosis of Gaussian features, but no outlier coordinate: "
            f"{values['leaders']} coordinates take turns in leading, as in sparse features. That is not the "
            "sign of Crabbé et al. (2024)."
        )
    return (
        f"It has no outlier coordinate, and {times} the kurtosis of Gaussian features: no sign of anything."
    )


def _counted(record: Record) -> str:
    """How often a rule was right, with its interval and where it was wrong."""
    wrong = [each for each in record.outcomes if not each.right]
    named = ", ".join(f"{each.family} ({'robust' if each.robust else 'not robust'})" for each in wrong)
    interval = _percent(record.low, record.high)
    counted = f"right for {record.right} of {len(record.outcomes)}, {interval}"
    return f"{counted}; wrong for {named}" if wrong else counted


def _percent(low: float, high: float) -> str:
    return f"95% interval {low:.0%} to {high:.0%}"


def _alike(references: pd.DataFrame, values: Mapping[str, float], rule: str) -> str:
    """How many real families with the same sign are robust."""
    column, cut = scan_references.rules().loc[rule, ["column", "cut"]]
    rows, signed = scan_evidence.known(references, "real"), values["outliers"] >= cut
    same = rows[(rows[column] >= cut) == signed]
    robust_of = same.groupby("family", sort=False)["robust"].mean() > 0.5
    robust, n = int(robust_of.sum()), len(robust_of)
    which = f"{'with' if signed else 'without'} outlier coordinates ({', '.join(robust_of.index) or 'none'})"
    interval = _percent(*scan_evidence.interval(robust, n))
    return f"Robust among the real families {which}: {robust} of {n}, {interval}."


def _conclusion(says: str | None, record: Record) -> str:
    if says:
        return f"That is better than guessing: by it this model would be {says}. It is a hint, and no test."
    why = "the interval is not above one half, which is guessing"
    if record.low > 0.5:
        why = "the rule is not right about most robust families and about most others"
    return (
        f"This does not support a verdict: with {len(record.outcomes)} independent families {why}. "
        "The scan does not say whether this model is robust."
    )


def _limits(values: Mapping[str, float], references: pd.DataFrame) -> list[str]:
    real = references[references["world"] == "real"]
    known = scan_evidence.known(references, "real")
    limits = ["Robustness is accuracy on shifted images. None was seen here, and only they decide."]
    if values["outliers"]:
        before = real[(real["regime"] == "random-init") & (real["outliers"] > 0)]["family"].unique()
        found = f", as in {', '.join(before)}" if len(before) else ""
        limits.append(
            f"An outlier may be there with random weights already{found}: compare with an untrained copy."
        )
    else:
        limits.append(
            f"No outlier says nothing by itself: robust without one are {_robust_without(references)}."
        )
    limits.append(
        f"Of {len(known)} real feature sets with a known robustness {(known['side'] == 'image').sum()} are "
        f"of images, the others of texts. Finetuned: {(known['regime'] == 'finetuned').sum()}."
    )
    low, high = (shown(values[f"kurtosis_{end}"]) for end in ("low", "high"))
    limits.append(
        f"Of endlessly many images like these {values['images']:,} the mean kurtosis is {low} to {high} (95% "
        "interval). Images of other kinds may give any other."
    )
    if "prunable" in values:
        limits.append("The prunable share is judged by the head's own decisions, without labels.")
    signature = references[["kurtosis", "outlier_share"]]
    near = np.isclose(signature, [values["kurtosis"], values["top_share"]], rtol=1e-4)
    if near.all(axis=1).any():
        named = references[near.all(axis=1)].iloc[0]
        limits.append(f"These features are one of the references: {named['label']}, {named['described']}.")
    return limits


def _robust_without(references: pd.DataFrame) -> str:
    """Families that are robust and have no outlier coordinate."""
    named = []
    for world, suffix in (("real", ""), ("miniature", " (miniature)")):
        rows = scan_evidence.known(references, world)
        named += [name + suffix for name in rows[rows["robust"] & (rows["outliers"] == 0)]["family"].unique()]
    return ", ".join(named) or "none of the references"
