"""Overlap of the concepts that several models encode: how many are shared, by whom, and whose are unique.

Regions are exclusive, as in a Venn diagram: a concept counts once, in the region of all the models that
encode it. A model's *unique* concepts are encoded by it and by none of the others compared.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from featurelens import checks

# The paper's own numbers, cited as such: first version (arXiv 2310.13040v1), weights of OpenAI. They are read
# off its overlap figure as the first author shows it in public, the file
# JonathanCrabbe/Personal-Website-Content@f6d5a692:content/publication/eri/featured.png.
TABLE = Path(__file__).parent / "tables" / "venn_v1.csv"
_AND = " & "


@dataclass(frozen=True)
class Overlap:
    """How many concepts each set of models encodes in common, and no other of ``models`` does.

    ``regions`` lists only regions with concepts, by number of models and from large to small.
    """

    models: tuple[str, ...]
    regions: dict[frozenset[str], int]

    @classmethod
    def of(cls, encoded: Mapping[str, Iterable[str]]) -> "Overlap":
        """Count the regions of the concepts that each model encodes.

        Args:
            encoded: names of encoded concepts, by model; a name that is listed twice counts once.

        Raises:
            ValueError: no models, or one text where names are expected.

        >>> Overlap.of({"a": {"red", "dog"}, "b": {"red"}}).unique
        {'a': 1, 'b': 0}
        """
        if text := [model for model, names in encoded.items() if isinstance(names, str)]:
            raise ValueError(
                f"{text[0]}: expected a set of concept names, found the text {encoded[text[0]]!r}"
            )
        sets = {model: frozenset(names) for model, names in encoded.items()}
        union = frozenset().union(*sets.values())
        holders = (frozenset(m for m, names in sets.items() if name in names) for name in union)
        return cls.of_counts(sets, Counter(holders))

    @classmethod
    def of_counts(cls, models: Iterable[str], counts: Mapping[frozenset[str], int]) -> "Overlap":
        """Take exclusive regions that were counted elsewhere; regions that are not listed are empty.

        Raises:
            ValueError: no models, a model named twice, a region of no model, or a count that is no whole
                number from 0.
            UnknownNameError: a region of a model that is not in ``models``.
        """
        models = tuple(models)
        if not models:
            raise ValueError("expected at least 1 model to compare, found 0")
        if len(set(models)) < len(models):
            raise ValueError(f"expected different models, found {', '.join(models)}")
        for region, count in counts.items():
            if not region:
                raise ValueError("expected regions of at least 1 model, found one of 0")
            where = _AND.join(checks.known("model", model, models) for model in sorted(region))
            if not (count >= 0 and count % 1 == 0):
                raise ValueError(f"{where}: expected a number of concepts, found {count}")
        order = sorted(
            ((frozenset(region), int(count)) for region, count in counts.items() if count),
            key=lambda item: (len(item[0]), -item[1], sorted(map(models.index, item[0]))),
        )
        return cls(models, dict(order))

    @property
    def totals(self) -> dict[str, int]:
        """Number of concepts that each model encodes."""
        return {m: sum(n for region, n in self.regions.items() if m in region) for m in self.models}

    @property
    def union(self) -> int:
        """Number of concepts that any model encodes."""
        return sum(self.regions.values())

    @property
    def unique(self) -> dict[str, int]:
        """Number of concepts that only this model encodes."""
        return {m: self.regions.get(frozenset([m]), 0) for m in self.models}

    def table(self) -> pd.DataFrame:
        """Return one row per region: a column per model (is it in?), ``degree`` (models), ``count``."""
        rows = [
            {m: m in region for m in self.models} | {"degree": len(region), "count": count}
            for region, count in self.regions.items()
        ]
        return pd.DataFrame(rows, columns=[*self.models, "degree", "count"])


def paper() -> dict[str, Overlap]:
    """Return the paper's counts by backbone: zero-shot CLIP, the same finetuned, and supervised ImageNet.

    Reference numbers of the paper's first version, not computed here; see ``TABLE`` for the source.
    """
    models, counts = {}, {}
    with TABLE.open(newline="") as file:
        for row in csv.DictReader(file):
            region = row["region"].split(_AND)
            models.setdefault(row["backbone"], {}).update(dict.fromkeys(region))
            counts.setdefault(row["backbone"], {})[frozenset(region)] = int(row["count"])
    return {backbone: Overlap.of_counts(models[backbone], counts[backbone]) for backbone in counts}
