"""What a run will cost, as tables for a terminal."""

import time
from datetime import timedelta

from rich.table import Table

from featurelens import checks, conceptsets, decoding, extract, imagesets, preprocess, scales
from featurelens.encoder import Encoder
from featurelens.imagesets import ImageSet
from featurelens.paper import costs
from featurelens.paper.loading import Run, groups
from featurelens.paper.names import SETS
from featurelens.pipeline import Work
from featurelens.shards import DTYPES

PROBED = 32  # pictures that this machine's rates are measured on
BROKEN = (scales.Unreachable, checks.UnknownNameError, FileNotFoundError, ValueError)


def by_gpu(run: Run) -> Table | str:
    """Hours of a whole run on GPUs of several kinds, from the names alone: nothing is loaded."""
    images = sum(imagesets.expected(SETS[name]) for name in run.sets)
    backbones = [costs.backbone(name) for name in run.models]
    known = [backbone for backbone in backbones if backbone in set(costs.rates()["backbone"])]
    if not known:
        return "No published rate for these encoders: --dry-run measures them here."
    counted = f"{len(known)} of {len(run.models)} encoders (those with a rate)"
    table = Table(title=f"{images:,} images of {len(run.sets)} sets, {counted}, in half precision")
    for column in ("GPU", "cores", "encode, h", "decode, h", "hours", "rates"):
        table.add_column(column, justify="left" if column in ("GPU", "rates") else "right")
    for row in costs.hours(known, images).itertuples():
        hours = (f"{value:.2f}" for value in (row.encode, row.decode, row.hours))
        table.add_row(row.hardware, str(int(row.cores)), *hours, row.kind)
    return table


def here(run: Run) -> Table:
    """What is missing in the store and what it takes on this machine, measured on a few pictures."""
    table = Table(title="On this machine")
    for column in ("image set", "images", "expected", "to extract", "MiB", "time", ""):
        table.add_column(column, justify="left" if column in ("image set", "") else "right")
    sets, broken = _sets(run)
    counted = {name: [0, 0, 0.0] for name in sets}
    for encoders, _ in groups(run, lambda _: None):
        for name, images in sets.items():
            more = _missing(run, list(encoders.values()), images)
            counted[name] = [sum(pair) for pair in zip(counted[name], more, strict=True)]
        encoders.clear()  # before the next group is loaded
    for name, images in sets.items():
        expected = f"{imagesets.expected(SETS[name]):,}" if name in SETS else "any"
        rows, held, seconds = counted[name]
        taken, mib = str(timedelta(seconds=round(seconds))), f"{held / 2**20:,.1f}"
        table.add_row(name, f"{len(images):,}", expected, f"{rows:,}", mib, taken, "")
    for name, reason in broken.items():
        table.add_row(name, "none", "", "", "", "", reason)
    return table


def _missing(run: Run, encoders: list[Encoder], images: ImageSet) -> tuple[int, int, float]:
    """Pictures that encoders have to see, counted for each, bytes of their features, and seconds."""
    work = extract.missing(encoders, images, run.store)
    rows, each = missing_rows(work), DTYPES[run.store.precision].itemsize
    numbers = sum(n * sum(encoder.dims.values()) for n, encoder in zip(rows, encoders, strict=True))
    return sum(rows), each * numbers, seconds_here(work)


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


def missing_rows(work: Work) -> list[int]:
    """Return how many pictures each encoder has to see."""
    return [
        sum(len(work.rows(shard)) for shard, numbers in work.todo.items() if number in numbers)
        for number in range(len(work.encoders))
    ]


def seconds_here(work: Work) -> float:
    """Return about how long some work takes on this machine, measured on a few of its pictures.

    Decoding is measured by itself and so are the forward passes; they run side by side, and on a processor
    they share its cores, so there the sum counts.
    """
    if not work.todo:
        return 0.0
    few = range(min(PROBED, len(work.images)))
    steps = {encoder.preprocess.shared_as: encoder.preprocess for encoder in work.encoders}
    start = time.perf_counter()
    with decoding.threads() as pool:
        list(decoding.batches(work.images, few, steps, PROBED, pool))
    decode = (time.perf_counter() - start) / len(few) * work.pictures
    encode = sum(_seconds(encoder) * n for encoder, n in zip(work.encoders, missing_rows(work), strict=True))
    on_gpu = any(encoder.device.type == "cuda" for encoder in work.encoders)
    return max(encode, decode) if on_gpu else encode + decode


def _seconds(encoder: Encoder) -> float:
    """Seconds a picture, second of two batches."""
    x_NCHW = encoder.preprocess(preprocess.probe_image())[None].expand(PROBED, -1, -1, -1).to(encoder.device)
    taken = 0.0
    for _ in range(2):
        start = time.perf_counter()
        for h_ND in encoder.encode(x_NCHW).values():
            h_ND.cpu()  # waits for the device
        taken = (time.perf_counter() - start) / PROBED
    return taken
