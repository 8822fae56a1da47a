"""One figure style for the whole book, and the few helpers every figure shares.

Figure functions live in ``featurelens.figures``, take a tidy table and return a ``Figure``. They build it
with ``plots.subplots``, which keeps it away from pyplot: a cell that ends in a figure shows it exactly once.
"""

import sys

import matplotlib as mpl
import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from featurelens.checks import known

# Okabe and Ito's palette: told apart with every common kind of colour vision.
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")

COLOURS = {
    "clip-web": "#0072B2",
    "clip-captions": "#56B4E9",
    "finetuned": "#CC79A7",
    "supervised": "#D55E00",
    "supervised-web": "#E69F00",
    "random-init": "#7F7F7F",
}

_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#4D4D4D",
    "axes.grid": True,
    "axes.prop_cycle": mpl.cycler(color=OKABE_ITO),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "axes.titleweight": "bold",
    # White, never transparent: on a dark page a figure is a light card.
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "font.size": 10,
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    # Fixed ids make the same figure the same bytes.
    "svg.hashsalt": "featurelens",
}


def use_style() -> None:
    """Set the book's style, and in a notebook draw figures as reproducible SVG."""
    mpl.rcParams.update(_STYLE)
    if "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg", metadata={"Date": None})


def subplots(rows: int = 1, columns: int = 1, *, size: tuple[float, float] = (6.4, 4.0), **kwargs):
    """A figure of ``size`` inches and its axes, as ``pyplot.subplots`` gives them, but unknown to pyplot."""
    figure = Figure(figsize=size, layout="constrained")
    figure.get_layout_engine().set(wspace=0.05)  # the last number below one panel and the first of the next
    return figure, figure.subplots(rows, columns, **kwargs)


def colour(regime: str) -> str:
    """Colour of a training regime.

    Raises:
        UnknownNameError: no such regime.
    """
    return COLOURS[known("regime", regime, COLOURS)]


def logit(p: np.ndarray) -> np.ndarray:
    """Log odds of accuracies strictly inside (0, 1)."""
    p = np.asarray(p, dtype=float)
    return np.log(p / (1 - p))


def logit_axes(ax: Axes, x: tuple[float, float], y: tuple[float, float]) -> None:
    """Make both axes logit-scaled over accuracy ranges ``x`` and ``y`` (fractions), ticks in per cent."""
    ticks = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99])
    for axis, (low, high), setter in ((ax.xaxis, x, ax.set_xlim), (ax.yaxis, y, ax.set_ylim)):
        axis.axes.set(**{f"{axis.axis_name}scale": "logit"})
        inside = ticks[(ticks >= low) & (ticks <= high)]
        axis.set_major_locator(ticker.FixedLocator(inside))
        axis.set_minor_locator(ticker.NullLocator())
        axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{100 * value:g} %"))
        setter(low, high)
