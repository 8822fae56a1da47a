"""What a page shows of the paper's scale: the stored table, or how to compute it, and how long that takes."""

from collections.abc import Sequence

from IPython.display import Markdown, display

from featurelens import hub_imagesets, paths, results, scales, stamps, testbed
from featurelens.paper import costs
from featurelens.paper.names import SCALE, SETS

ALL = tuple(SETS)
COMMAND = "featurelens reproduce --scale paper"
GPUS = {"T4": "a T4", "A100 40 GB": "an A100"}


def show(name: str, sets: Sequence[str], columns: list[str] | None = None, sort: str | None = None) -> None:
    """Display a table of :mod:`featurelens.paper.tables`, or that it is not there yet, and what it takes.

    Args:
        name: of the table.
        sets: image sets that it needs, names of ``run.SETS``.
        columns: those to show; default: all.
        sort: column to sort by, largest first.
    """
    try:
        frame = results.read(name, SCALE)
    except scales.Unreachable:
        # Noted all the same: the page is stale once the table appears.
        stamps.read(paths.data() / "results" / f"{name}.{SCALE}.csv")
        display(Markdown(f"*Nothing is stored at the {SCALE} scale yet.* {cost(sets)}"))
        return
    bare = results.bare(frame)
    bare = bare.sort_values(sort, ascending=False) if sort else bare
    display((bare[columns] if columns else bare).round(3))
    display(Markdown(f"{results.caption(frame)} {cost(sets)}"))


def cost(sets: Sequence[str]) -> str:
    """One sentence: how to compute a table of the 16 encoders, and the hours on two kinds of GPUs."""
    images = sum(int(hub_imagesets.table()[SETS[name]]["images"]) for name in sets)
    hours = costs.hours(testbed.encoders()["backbone"], images).set_index("hardware")
    takes = " and ".join(f"{_duration(hours['hours'][gpu])} on {name}" for gpu, name in GPUS.items())
    options = " --precision bfloat16" + ("" if len(sets) == len(SETS) else f" --sets {','.join(sets)}")
    return (
        f"`{COMMAND}{options}` computes it where there are a GPU, the images and the weights: for the 16 "
        f"encoders about {takes} (estimates, forward passes only)."
    )


def _duration(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1.95 else f"{60 * hours:.0f} minutes"
