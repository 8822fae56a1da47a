"""Time rivals side by side; keep one table, ``benchmarks/results.csv``, that names its machine."""

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import torch

from featurelens import stamps

RESULTS = Path(__file__).parent / "results.csv"
REPEATS = 7


def compare(
    benchmark: str, size: str, methods: dict[str, Callable[[], object]], parts: Sequence[float] | None = None
) -> pd.DataFrame:
    """Return CPU-seconds of each method on one thread; the first method is ours.

    Methods take turns, so that a busy machine slows all of them alike; each runs once before the clock.
    ``times_ours`` is the ratio of medians, ``times_ours_best`` that of the fastest runs. A method that would
    take hours does a part of the work, given in ``parts``; its seconds are divided by that part.
    """
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    parts = [1.0] * len(methods) if parts is None else parts
    torch.set_num_threads(1)
    for turn in range(REPEATS + 1):
        for (name, method), part in zip(methods.items(), parts, strict=True):
            start = time.process_time()
            method()
            if turn:
                seconds[name].append((time.process_time() - start) / part)
    frame = pd.DataFrame({"benchmark": benchmark, "size": size, "method": list(methods)})
    for column, summary in (("cpu_s", statistics.median), ("cpu_s_best", min)):
        frame[column] = [round(summary(seconds[name]), 4) for name in methods]
    frame["times_ours"] = (frame["cpu_s"] / frame["cpu_s"][0]).round(2)
    frame["times_ours_best"] = (frame["cpu_s_best"] / frame["cpu_s_best"][0]).round(2)
    return frame


def publish(frame: pd.DataFrame) -> None:
    """Print a benchmark's table and put it in the results file in place of its former rows."""
    frame = frame.assign(**stamps.here())
    print(frame.drop(columns=["computed_on", "commit", "hardware"]).to_string(index=False), flush=True)
    if RESULTS.is_file():
        old = pd.read_csv(RESULTS, dtype={"commit": str})
        frame = pd.concat([old[~old["benchmark"].isin(frame["benchmark"])], frame])
    frame.sort_values("benchmark", kind="stable").to_csv(RESULTS, index=False, lineterminator="\n")
