"""Figure of the overlap of encoded concepts between models."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from featurelens import plots
from featurelens.overlap import Overlap

# Regions of one panel; beyond that columns become thinner than their numbers.
MOST = 12
# Panels with more regions than this get a row of their own.
NARROW = 7
SHARED, ABSENT = "#595959", "#D9D9D9"


def upset(overlaps: Mapping[str, Overlap], colours: Mapping[str, str] | None = None) -> Figure:
    """Draw the regions of each overlap as bars, above dots that say which models are in a region.

    Bars are sorted by the number of models, then by size; bars at the left are the totals of the models. All
    panels have the same scale. Of more than 12 regions the largest are drawn; a note says how many are left
    out.

    Args:
        overlaps: one panel each, by its title.
        colours: colour of each model; by default the palette's, in the order of the models.

    Raises:
        ValueError: no overlaps, or one without concepts.
    """
    if not overlaps:
        raise ValueError("expected overlaps to draw, found 0")
    if empty := [title for title, overlap in overlaps.items() if not overlap.union]:
        raise ValueError(f"expected overlaps with concepts, empty: {', '.join(empty)}")
    names = dict.fromkeys(model for overlap in overlaps.values() for model in overlap.models)
    colours = colours or dict(zip(names, plots.OKABE_ITO, strict=False))
    most = max(len(overlap.regions) for overlap in overlaps.values())
    columns = 2 if len(overlaps) > 1 and most <= NARROW else 1
    lines = -(-len(overlaps) // columns)
    below = 0.24 * max(len(overlap.models) for overlap in overlaps.values())
    figure, axes = plots.subplots(
        2 * lines,
        2 * columns,
        size=(7.2, lines * (below + 2.1)),
        squeeze=False,
        width_ratios=[1, 3.6 if columns == 2 else 5] * columns,
        height_ratios=[1.5, below] * lines,
    )
    figure.get_layout_engine().set(h_pad=0.08)
    for ax in axes.flat:
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        ax.set(xticks=[], yticks=[])
    highest = max(max(overlap.regions.values()) for overlap in overlaps.values())
    longest = max(max(overlap.totals.values()) for overlap in overlaps.values())
    for n, (title, overlap) in enumerate(overlaps.items()):
        top, left = 2 * (n // columns), 2 * (n % columns)
        shown = _largest(overlap)
        _bars(axes[top, left + 1], shown, colours, highest)
        axes[top, left + 1].set_title(title, loc="left", pad=8)
        axes[top, left + 1].set_title(
            _note(overlap, shown), loc="right", size="small", weight="normal", pad=8
        )
        _dots(axes[top + 1, left + 1], overlap.models, shown, colours)
        _totals(axes[top + 1, left], overlap.totals, colours, longest)
    return figure


def _largest(overlap: Overlap) -> dict[frozenset[str], int]:
    """The largest regions, in the order of the overlap."""
    kept = sorted(overlap.regions, key=lambda region: -overlap.regions[region])[:MOST]
    return {region: count for region, count in overlap.regions.items() if region in kept}


def _note(overlap: Overlap, shown: dict[frozenset[str], int]) -> str:
    """Concepts in all, and those of the regions that are not drawn."""
    left_out = (
        f", {overlap.union - sum(shown.values())} in {len(overlap.regions) - len(shown)} regions left out"
    )
    return f"{overlap.union} concepts" + left_out * (len(shown) < len(overlap.regions))


def _colour(region: frozenset[str], colours: Mapping[str, str]) -> str:
    """The model's colour for concepts of one model, grey for shared ones."""
    return colours[next(iter(region))] if len(region) == 1 else SHARED


def _bars(ax: Axes, shown: dict[frozenset[str], int], colours: Mapping[str, str], highest: int) -> None:
    ax.set(xlim=(-0.6, len(shown) - 0.4), ylim=(0, 1.13 * highest))
    bars = ax.bar(range(len(shown)), shown.values(), 0.66, color=[_colour(r, colours) for r in shown])
    ax.bar_label(bars, fontsize=8, padding=1)
    ax.spines.bottom.set_visible(True)


def _dots(
    ax: Axes, models: tuple[str, ...], shown: dict[frozenset[str], int], colours: Mapping[str, str]
) -> None:
    for x, region in enumerate(shown):
        inside = [y for y, model in enumerate(models) if model in region]
        ax.plot([x, x], [inside[0], inside[-1]], color=_colour(region, colours), lw=1.5)
        for y in range(len(models)):
            ax.plot(x, y, "o", ms=5.5, color=_colour(region, colours) if y in inside else ABSENT)
    ax.set(xlim=(-0.6, len(shown) - 0.4), ylim=(len(models) - 0.5, -0.5))
    ax.set_yticks(range(len(models)), models, fontsize="small")
    ax.tick_params(length=0)


def _totals(ax: Axes, totals: dict[str, int], colours: Mapping[str, str], longest: int) -> None:
    # From right to left, set before the labels, which look where the axis points.
    ax.set(xlim=(1.8 * longest, 0), ylim=(len(totals) - 0.5, -0.5))
    bars = ax.barh(range(len(totals)), totals.values(), 0.66, color=[colours[model] for model in totals])
    ax.bar_label(bars, fontsize=8, padding=2)
    ax.set_title("total", size="small", weight="normal", loc="right")
