"""What a run will cost, as tables for a terminal."""

from datetime import timedelta

from rich.table import Table

from featurelens import checks, conceptsets, extract, imagesets, scales
from featurelens.imagesets import ImageSet
from featurelens.paper import costs
from featurelens.paper.run import SETS, Run, groups

BROKEN = (scales.Unreachable, checks.UnknownNameError, FileNotFoundError, ValueError)


def by_gpu(run: Run) -> Table:
    """Hours of a whole run on GPUs of several kinds, from the names alone: nothing is loaded."""
    images = sum(imagesets.expected(SETS[name]) for name in run.sets)
    backbones = [costs.backbone(name) for name in run.models]
    known = [backbone for backbone in backbones if backbone in set(costs.rates()["backbone"])]
    counted = f"{len(known)} of {len(run.models)} encoders (those with a rate)"
    table = Table(title=f"{images:,} images of {len(run.sets)} sets, {counted}")
    for column in ("GPU", "cores", "encode, h", "decode, h", "hours", "rates"):
        table.add_column(column, justify="left" if column in ("GPU", "rates") else "right")
    for row in costs.hours(known, images).itertuples() if known else ():
        hours = (f"{value:.2f}" for value in (row.encode, row.decode, row.hours))
        table.add_row(row.hardware, str(int(row.cores)), *hours, row.kind)
    return table


def here(run: Run) -> Table:
    """What is missing in the store and what it takes on this machine, measured on a few pictures."""
    table = Table(title="On this machine")
    for column in ("image set", "images", "expected", "to extract", "MiB", "time", ""):
        table.add_column(column, justify="left" if column in ("image set", "") else "right")
    sets, broken = _sets(run)
    todo, size, seconds = (dict.fromkeys(sets, 0) for _ in range(3))
    for encoders in groups(run):
        members = list(encoders.values())
        for name, images in sets.items():
            work = extract.missing(members, images, run.store)
            rows = {
                n: sum(len(work.rows(k)) for k, todo in work.todo.items() if n in todo)
                for n in range(len(members))
            }
            todo[name] += sum(rows.values())
            each = 4 if run.store.precision == "float32" else 2
            size[name] += sum(costs.size([members[n]], count, each) for n, count in rows.items())
            seconds[name] += costs.seconds_here(work)
    for name, images in sets.items():
        expected = f"{imagesets.expected(SETS[name]):,}" if name in SETS else "any"
        taken = str(timedelta(seconds=round(seconds[name])))
        mib = f"{size[name] / 2**20:,.1f}"
        table.add_row(name, f"{len(images):,}", expected, f"{todo[name]:,}", mib, taken, "")
    for name, reason in broken.items():
        table.add_row(name, "none", "", "", "", "", reason)
    return table


def _sets(run: Run) -> tuple[dict[str, ImageSet], dict[str, str]]:
    """The image sets of a run that are here, and why others are not."""
    found, broken = {}, {}
    loads = {name: lambda name=name: imagesets.load(SETS[name]) for name in run.sets}
    if run.concepts:
        loads["concepts"] = lambda: conceptsets.load(run.concepts).images
    for name, load in loads.items():
        try:
            found[name] = load()
        except BROKEN as error:
            broken[name] = str(error)
    return found, broken
