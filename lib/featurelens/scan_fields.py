"""The numbers of a scan by name, and conditions on them (``kurtosis>10``) that make a command fail."""

import operator
import re
from collections.abc import Mapping
from typing import NamedTuple

from featurelens import checks

# Name -> what it is; the second table's need a head.
FIELDS = {
    "images": "images with features",
    "left_out": "images without: not to be read, or with features that are not finite",
    "width": "coordinates",
    "kurtosis": "activation kurtosis, mean over images",
    "kurtosis_low": "lower end of the mean's 95% interval over images (Student's t)",
    "kurtosis_high": "upper end of it",
    "kurtosis_p05": "5% quantile over images",
    "kurtosis_p25": "25% quantile over images",
    "kurtosis_p50": "median over images",
    "kurtosis_p75": "75% quantile over images",
    "kurtosis_p95": "95% quantile over images",
    "kurtosis_gaussian": "of Gaussian features of this width",
    "kurtosis_ceiling": "highest possible at this width",
    "kurtosis_rotated": "mean, after one random rotation",
    "kurtosis_centred": "mean, after the mean feature vector was taken off",
    "outliers": "outlier coordinates",
    "top_coordinate": "the coordinate that adds most to the kurtosis",
    "top_share": "its share of the kurtosis",
    "top2_share": "share of the two that add most",
    "leaders": "coordinates that lie furthest from the mean in some image",
    "leader_share": "images that the most frequent leader leads, a share",
    "zeros": "entries that are exactly 0, a share",
    "effective_rank": "exponential entropy of the centred features' singular values",
    "norm": "length of a feature vector, mean over images",
    "norm_variation": "standard deviation of that length over its mean",
}
HEAD_FIELDS = {
    "classes": "rows of the head",
    "directions": "right singular vectors of the head",
    "importance_top_share": "share of the most important direction",
    "importance_effective": "effective number of directions",
    "importance_kurtosis": "kurtosis of the importances",
    "importance_overlap": "squared length of the most important direction in the outlier coordinates",
    "prunable": "directions that can go while 98% of the head's decisions stay, a share",
}
COMPARISONS = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_SYNTAX = re.compile(rf"\s*(\w+)\s*({'|'.join(COMPARISONS)})\s*({_NUMBER})\s*")


class Condition(NamedTuple):
    """A field compared with a number."""

    field: str
    comparison: str
    number: float

    def holds(self, values: Mapping[str, float]) -> bool:
        """Whether it is so.

        Raises:
            ValueError: the field needs a head, and there was none.
        """
        if self.field not in values:
            raise ValueError(f"{self.field}: expected a scan with a head, found one without")
        return COMPARISONS[self.comparison](values[self.field], self.number)

    def __str__(self) -> str:
        """As it is written."""
        return f"{self.field}{self.comparison}{self.number:g}"


def condition(text: str) -> Condition:
    """Read a condition: ``<field> <comparison> <number>``, with ``> >= < <= == !=``.

    Raises:
        UnknownNameError: no such field.
        ValueError: another grammar.

    >>> condition("kurtosis > 10")
    Condition(field='kurtosis', comparison='>', number=10.0)
    """
    if (match := _SYNTAX.fullmatch(text)) is None:
        raise ValueError(
            f"--fail-if: expected a field, a comparison and a number (kurtosis>10), found {text!r}"
        )
    field, comparison, number = match.groups()
    return Condition(checks.known("field", field, FIELDS | HEAD_FIELDS), comparison, float(number))


def shown(value: float) -> str:
    """A number with the digits that count: integers in full, three or four digits of others.

    >>> [shown(value) for value in (50_000, 5.1, 0.0301, 99.98, 123.45, 1e30)]
    ['50,000', '5.10', '0.0301', '100', '123.5', '1e+30']
    """
    if abs(value) >= 1e12:
        return f"{value:.3g}"
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")
