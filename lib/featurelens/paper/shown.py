"""What a page shows of the paper's scale: the stored table, or how to compute it and how long that takes."""

import pandas as pd
from IPython.display import Markdown

from featurelens import paths, results, scales, stamps
from featurelens.paper.tables import SCALE

COMMAND = "featurelens reproduce --scale paper"


def table(name: str, columns: list[str] | None = None, sort: str | None = None) -> pd.DataFrame | Markdown:
    """Return a table of :mod:`featurelens.paper.tables` for a page, or a note that it is not there yet.

    Raises:
        KeyError: the table has no such column.
    """
    try:
        frame = results.read(name, SCALE)
    except scales.Unreachable:
        # Noted all the same: the page is stale once the table appears.
        stamps.read(paths.data() / "results" / f"{name}.{SCALE}.csv")
        return Markdown(
            f"*Not computed yet at the {SCALE} scale.* `{COMMAND}` computes it on a machine with a GPU, the "
            "image sets and the weights; what that takes is on page 6."
        )
    frame = results.bare(frame)
    frame = frame.sort_values(sort, ascending=False) if sort else frame
    return (frame[columns] if columns else frame).round(3)


def caption(name: str) -> Markdown:
    """Where the table comes from; empty where there is none."""
    try:
        return Markdown(results.caption(results.read(name, SCALE)))
    except scales.Unreachable:
        return Markdown("")
