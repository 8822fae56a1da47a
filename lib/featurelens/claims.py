"""A chapter's measured statements: each is checked when the chapter runs and written to ``data/claims/``.

A claim is a name, a number, what it was expected to be, the scale and the source. Tests run the chapters
again and compare. ``FEATURELENS_CLAIMS`` names another folder to write to.
"""

import json
import math
import os
from numbers import Real
from pathlib import Path

from featurelens import atomic, paths, scales
from featurelens.checks import known


class ClaimError(AssertionError):
    """A measured value is not what the chapter says it is."""


class Claims:
    """The claims of one chapter, in the order in which they are recorded."""

    def __init__(self, chapter: str):
        """Start with no claims; ``chapter`` is the chapter's file stem."""
        self.chapter = chapter
        self.entries: dict[tuple[str, str], dict] = {}

    def record(
        self,
        name: str,
        value: Real,
        *,
        text: str,
        scale: str,
        source: str,
        equals: float | None = None,
        tol: float = 0.0,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> None:
        """Check one measured ``value`` and keep it.

        Args:
            name: short stable name, unique in the chapter at this scale.
            value: the number measured.
            text: the claim in one sentence.
            scale: the scale it was measured at.
            source: the table or file it was measured from.
            equals: the expected value, to within ``tol`` (absolute).
            tol: see ``equals``.
            at_least: lower bound, inclusive.
            at_most: upper bound, inclusive.

        Raises:
            ClaimError: the value is not finite, or not as expected.
            ValueError: no expectation was given, or the name is taken.
            UnknownNameError: no such scale.
        """
        known("scale", scale, scales.SCALES)
        if (name, scale) in self.entries:
            raise ValueError(f"claim {name!r} was already recorded at the {scale} scale")
        bounds = {"equals": equals, "at_least": at_least, "at_most": at_most}
        expected = {key: float(bound) for key, bound in bounds.items() if bound is not None}
        if not expected:
            raise ValueError(f"claim {name!r}: expected one of equals, at_least, at_most; found none")
        if equals is not None and tol:
            expected["tol"] = float(tol)
        value = float(value)
        if not _holds(value, expected):
            raise ClaimError(f"claim {name!r} ({scale}): found {value:.6g}, expected {_phrase(expected)}")
        entry = {"name": name, "scale": scale, "value": _rounded(value), "expected": expected}
        self.entries[name, scale] = entry | {"source": source, "text": text}

    def write(self) -> None:
        """Write the claims as JSON, sorted by scale and name.

        Stored claims of a scale at which nothing was recorded in this run are kept.
        """
        folder = Path(os.environ.get("FEATURELENS_CLAIMS") or paths.data() / "claims")
        recorded = {scale for _, scale in self.entries}
        kept = [claim for claim in read(self.chapter) if claim["scale"] not in recorded]
        claims = sorted(kept + list(self.entries.values()), key=_order)
        path = folder / f"{self.chapter}.json"
        text = json.dumps({"chapter": self.chapter, "claims": claims}, indent=1, ensure_ascii=False)
        atomic.write_text(path, text + "\n")


def read(chapter: str, folder: Path | None = None) -> list[dict]:
    """Claims of ``chapter`` in ``folder`` (default: the project's); none when nothing is stored yet."""
    path = (folder or paths.data() / "claims") / f"{chapter}.json"
    return json.loads(path.read_text())["claims"] if path.is_file() else []


def _holds(value: float, expected: dict[str, float]) -> bool:
    equal = expected.get("equals", value)
    low, high = expected.get("at_least", -math.inf), expected.get("at_most", math.inf)
    # A hair of slack: 0.3 within 0.1 of 0.2 must hold in floating point too.
    near = math.isclose(value, equal, rel_tol=1e-12, abs_tol=expected.get("tol", 0.0) * (1 + 1e-9))
    return math.isfinite(value) and near and low <= value <= high


def _phrase(expected: dict[str, float]) -> str:
    words = {"equals": "", "tol": "± ", "at_least": "at least ", "at_most": "at most "}
    return " ".join(f"{words[key]}{expected[key]:g}" for key in words if key in expected)


def _order(claim: dict) -> tuple[int, str]:
    return scales.SCALES.index(claim["scale"]), claim["name"]


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
