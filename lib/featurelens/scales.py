"""The three scales a finding can be computed at, smallest first, and which of them this run computes.

``FEATURELENS_SCALE`` names the largest scale to compute; everything above it is shown from stored results.
"""

import os

from featurelens.checks import known

SCALES = ("miniature", "published", "paper")


class Unreachable(RuntimeError):
    """This machine cannot compute a scale now (no network, no mirror, no images): show what is stored."""


def selected() -> str:
    """Largest scale to compute: ``FEATURELENS_SCALE``, or ``miniature`` when it is unset.

    Raises:
        UnknownNameError: the variable holds no scale's name.
    """
    return known("scale", os.environ.get("FEATURELENS_SCALE") or SCALES[0], SCALES)


def computes(scale: str) -> bool:
    """Whether this run computes ``scale``.

    Raises:
        UnknownNameError: no such scale.
    """
    return SCALES.index(known("scale", scale, SCALES)) <= SCALES.index(selected())
