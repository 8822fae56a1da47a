"""What a run will cost, as tables for a terminal."""

import time
from collections.abc import Sequence
from datetime import timedelta

from rich.table import Table

from featurelens import checks, conceptsets, decoding, extract, imagesets, preprocess, scales
from featurelens.encoder import Encoder
from featurelens.imagesets import ImageSet
from featurelens.paper import costs
from featurelens.paper.loading import Run, groups
from featurelens.paper.names import SETS
from featurelens.pipeline import Work

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
    todo, held, seconds = (dict.fromkeys(sets, 0) for _ in range(3))
    for encoders, _ in groups(run, lambda _: None):
        members = list(encoders.values())
        for name, images in sets.items():
            work = extract.missing(members, images, run.store)
            rows = {
                n: sum(len(work.rows(k)) for k, todo in work.todo.items() if n in todo)
                for n in range(len(members))
            }
            todo[name] += sum(rows.values())
            each = 4 if run.store.precision == "float32" else 2
            held[name] += sum(size([members[n]], count, each) for n, count in rows.items())
            seconds[name] += seconds_here(work)
    for name, images in sets.items():
        expected = f"{imagesets.expected(SETS[name]):,}" if name in SETS else "any"
        taken = str(timedelta(seconds=round(seconds[name])))
        mib = f"{held[name] / 2**20:,.1f}"
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


def size(encoders: Sequence[Encoder], images: int, bytes_each: int = 4) -> int:
    """Return the bytes that features of some images take at every point of the encoders."""
    return images * bytes_each * sum(sum(encoder.dims.values()) for encoder in encoders)


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
    encode = 0.0
    for number, encoder in enumerate(work.encoders):
        rows = sum(len(work.rows(shard)) for shard, numbers in work.todo.items() if number in numbers)
        encode += _seconds(encoder) * rows
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
