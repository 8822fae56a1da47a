"""Time rivals side by side; keep one table, ``benchmarks/results.csv``, that names its machine."""

import resource
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
    benchmark: str,
    size: str,
    methods: dict[str, Callable[[], object]],
    parts: Sequence[float] | None = None,
    *,
    turns: int = REPEATS,
    threads: int = 1,
    warm: bool = True,
) -> pd.DataFrame:
    """Return CPU-seconds of each method on one thread; the first method is ours.

    Methods take turns, so that a busy machine slows all of them alike; each runs once before the
    clock, except where ``warm`` is False: then the caller has run them.
    ``times_ours`` is the ratio of medians, ``times_ours_best`` that of the fastest runs. A method that would
    take hours does a part of the work, given in ``parts``; its seconds are divided by that part.

    With several ``threads`` the table has the seconds that pass as well, and the ratios are of those. The
    CPU-seconds count child processes that have ended.
    """
    cpu: dict[str, list[float]] = {name: [] for name in methods}
    wall: dict[str, list[float]] = {name: [] for name in methods}
    parts = [1.0] * len(methods) if parts is None else parts
    torch.set_num_threads(threads)
    for turn in range(0 if warm else 1, turns + 1):
        for (name, method), part in zip(methods.items(), parts, strict=True):
            start, since = _cpu_seconds(), time.perf_counter()
            method()
            if turn:
                cpu[name].append((_cpu_seconds() - start) / part)
                wall[name].append((time.perf_counter() - since) / part)
    frame = pd.DataFrame({"benchmark": benchmark, "size": size, "method": list(methods)})
    clocks = {"cpu_s": cpu} if threads == 1 else {"cpu_s": cpu, "wall_s": wall}
    for clock, seconds in clocks.items():
        for column, summary in ((clock, statistics.median), (f"{clock}_best", min)):
            frame[column] = [round(summary(seconds[name]), 4) for name in methods]
    compared = list(clocks)[-1]
    frame["times_ours"] = (frame[compared] / frame[compared][0]).round(2)
    frame["times_ours_best"] = (frame[f"{compared}_best"] / frame[f"{compared}_best"][0]).round(2)
    return frame if threads == 1 else frame.assign(threads=threads)


def _cpu_seconds() -> float:
    """Of this process (all its threads) and of its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def publish(frame: pd.DataFrame) -> None:
    """Print a benchmark's table and put it in the results file in place of its former rows."""
    frame = frame.assign(**stamps.here())
    print(
        frame.drop(columns=["computed_on", "commit", "hardware"]).to_string(index=False, na_rep=""),
        flush=True,
    )
    if RESULTS.is_file():
        old = pd.read_csv(RESULTS, dtype={"commit": str})
        frame = pd.concat([old[~old["benchmark"].isin(frame["benchmark"])], frame])
    frame.sort_values("benchmark", kind="stable").to_csv(RESULTS, index=False, lineterminator="\n")
