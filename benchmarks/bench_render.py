"""Rendering 4,096 pictures of the web set at 32 x 32. Bar: 3,000 pictures a second on two cores."""

import pandas as pd
import torch

from benchmarks import harness
from featurelens.miniature import render

PICTURES = 4096


def run() -> pd.DataFrame:
    """Time the batched renderer against the same renderer called picture by picture (on every 64th)."""
    index_N = torch.arange(PICTURES)
    methods = {
        "batched": lambda: render.render("web", index_N),
        "one by one, every 64th": lambda: [render.render("web", index_N[i : i + 1]) for i in index_N[::64]],
    }
    return harness.compare("render", f"{PICTURES} x 32 x 32", methods)


if __name__ == "__main__":
    harness.publish(run())
