"""The figure of the first page, ``book/landing.html``: the tour's two findings, drawn from its stored tables.

It is written as SVG, so that it follows the light or dark colours of the page and fits a phone.
"""

import math
from pathlib import Path

import pandas as pd
from scipy.special import expit, logit

from featurelens import paths, results, robustness, stamps
from featurelens.figures import svg

_CHAPTER = "00-how-to-read"
_WIDTH, _HEIGHT = 360, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 34, 44  # room around a plot
_X, _Y = (0.49, 0.9), (0.1, 0.8)  # accuracies that are shown
_ACCURACY = (
    "Accuracy on sketches against accuracy on ImageNet. Networks trained on ImageNet lie along one rising "
    "line, zero-shot CLIP models far above it, CLIP models finetuned on ImageNet between the two."
)
_VECTOR = (
    "Coordinates of CLIP's mean image feature vector. All stay near zero but coordinate {top}, which is "
    "{size:.0f} standard deviations away from the others. Before training no coordinate stands out."
)
_CAPTION = (
    "Left, each mark is a model: the line says what to expect of accuracy on sketches, and CLIP does better. "
    "Right, what sets such a model apart, seen on ordinary photographs alone. Both are explained in "
    f'<a class="reference internal" href="{_CHAPTER}.html#a-tour-in-two-minutes">a tour in two minutes</a>.'
)


def path() -> Path:
    """Where the figure lies."""
    return stamps.root() / "book" / "landing.html"


def text() -> str | None:
    """The figure as HTML; None for a book without the tour's tables, which needs none."""
    if not (paths.data() / "results" / f"{_CHAPTER}-sketch.published.csv").is_file():
        return None
    scored = results.read(f"{_CHAPTER}-sketch", "published")
    vectors = results.read(f"{_CHAPTER}-vectors", "published")
    panels = _accuracies(scored) + "\n" + _vector(vectors)
    return f'<figure class="fl-landing">\n{panels}\n<figcaption>{_CAPTION}</figcaption>\n</figure>\n'


def _accuracies(scored: pd.DataFrame) -> str:
    x, y = (_scale(*each) for each in (_X, _Y))
    x, y = x._replace(start=_LEFT, end=_WIDTH - _RIGHT), y._replace(start=_HEIGHT - _BOTTOM, end=_TOP)
    ticks = [(value, logit(value), f"{100 * value:g} %") for value in (0.1, 0.2, 0.4, 0.6, 0.8, 0.5, 0.7)]
    parts = _frame(
        [(x(at), said) for value, at, said in ticks if _X[0] < value <= _X[1]],
        [(y(at), said) for value, at, said in ticks if value in (0.1, 0.2, 0.4, 0.6, 0.8)],
        "accuracy on ImageNet",
        "accuracy on sketches",
    )
    baseline = scored[scored["kind"] == "baseline"]
    fit = robustness.fit_baseline(baseline["acc_in"], baseline["acc_shift"])
    enters = max(_X[0], float(expit((logit(_Y[0]) - fit.intercept) / fit.slope)))  # not below the axis
    ends = [(x(logit(at)), y(logit(float(fit.predict(at))))) for at in (enters, 0.89)]
    parts.append(svg.line("fit", *ends[0], *ends[1]))
    shown = scored[scored["acc_shift"].between(*_Y) & scored["acc_in"].between(*_X)]
    kinds = (
        (shown["kind"] == "baseline", "base", "circle"),
        (shown["regime"] == "finetuned", "tuned", "square"),
        (shown["regime"] == "clip-web", "clip", "circle"),
    )
    for chosen, kind, shape in kinds:
        for row in shown[chosen].itertuples():
            at = x(logit(row.acc_in)), y(logit(row.acc_shift))
            parts.append(svg.mark(shape, kind, *at, row.model))
    parts.append(svg.word(_LEFT + 10, _TOP + 16, "CLIP, zero-shot", kind="clip"))
    parts.append(svg.word(x(logit(0.805)), y(logit(0.46)), "finetuned", "end", "tuned"))
    parts.append(svg.word(x(logit(0.7)), y(logit(0.12)), "trained on ImageNet", kind="base"))
    return _panel("Robust: above the line", _ACCURACY, parts)


def _vector(vectors: pd.DataFrame) -> str:
    trained, fresh = (vectors[vectors["weights"] == weights] for weights in ("trained", "random"))
    top = trained.loc[trained["activation"].abs().idxmax()]
    x = svg.Axis(0, len(trained), _LEFT, _WIDTH - _RIGHT)
    y = svg.Axis(-3, math.ceil(top["activation"]) + 1, _HEIGHT - _BOTTOM, _TOP)
    parts = _frame(
        [(x(value), str(value)) for value in (0, 128, 256, 384, 512)],
        [(y(value), str(value)) for value in (0, 5, 10, 15)],
        "coordinate of the feature vector",
        "standard deviations",
    )
    for rows, kind in ((fresh, "base"), (trained, "clip")):
        points = " ".join(f"{x(row.coordinate):g},{y(row.activation):g}" for row in rows.itertuples())
        parts.append(f'<polyline class="{kind}" points="{points}"/>')
    at = x(top["coordinate"]) - 7, y(top["activation"]) + 10
    parts.append(svg.word(*at, f"coordinate {top['coordinate']:.0f}", "end", "clip"))
    parts.append(svg.word(_LEFT + 10, y(5.2), "CLIP ViT-B/16", kind="clip"))
    parts.append(svg.word(_LEFT + 10, y(4), "the same before training", kind="base"))
    words = _VECTOR.format(top=int(top["coordinate"]), size=top["activation"])
    return _panel("One coordinate towers", words, parts)


def _frame(across: list, upwards: list, below: str, beside: str) -> list[str]:
    """Grid, numbers and names of both axes; ``across`` and ``upwards`` are places and words."""
    bottom, middle = _HEIGHT - _BOTTOM, (_TOP + _HEIGHT - _BOTTOM) / 2
    parts = [svg.line("grid", _LEFT, at, _WIDTH - _RIGHT, at) for at, _ in upwards]
    parts += [svg.word(_LEFT - 6, at + 4, said, "end") for at, said in upwards]
    parts += [svg.word(at, bottom + 17, said, "middle") for at, said in across]
    parts += [svg.line("axis", _LEFT, bottom, _WIDTH - _RIGHT, bottom)]
    parts += [svg.word((_LEFT + _WIDTH - _RIGHT) / 2, bottom + 36, below, "middle")]
    turned = f'transform="rotate(-90 14 {middle:g})"'
    return [*parts, f'<text x="14" y="{middle:g}" text-anchor="middle" {turned}>{svg.text(beside)}</text>']


def _panel(title: str, words: str, parts: list[str]) -> str:
    heading = svg.word(_LEFT, 16, title, kind="title")
    opening = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{svg.text(words)}">'
    return f"{opening}{heading}{''.join(parts)}</svg>"


def _scale(low: float, high: float) -> svg.Axis:
    return svg.Axis(logit(low), logit(high), 0, 1)
