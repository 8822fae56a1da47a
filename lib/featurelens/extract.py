"""Images -> features: each picture is decoded once for all encoders, whatever they do with it afterwards.

Encoders whose geometry (resize, crop) agrees share that step too. What is already in the store is not done
again: a run that was stopped goes on at the first shard that is missing.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from featurelens import paths
from featurelens.encoder import Encoder
from featurelens.files import ImageError
from featurelens.imagesets import ImageSet
from featurelens.preprocess import Preprocess
from featurelens.store import FeatureStore

BATCH = 64
# Pictures decode in threads (Pillow lets go of the interpreter lock), one batch ahead of the encoders.
THREADS = min(8, os.cpu_count() or 1)

Decoded = dict[str, torch.Tensor] | str  # pixels by geometry, or why there are none


class Features(NamedTuple):
    """Features with what belongs to each row: its label, if there are any, and its place in the image set."""

    h_ND: torch.Tensor
    y_N: torch.Tensor | None
    row_N: torch.Tensor
    failures: list[dict]


def extract(
    encoders: Encoder | Sequence[Encoder], images: ImageSet, store: FeatureStore, engine: str = "local"
) -> FeatureStore:
    """Fill ``store`` with the features of ``images`` by every encoder, at every point; return the store.

    Pictures that do not decode, or whose features are not finite, are left out and recorded with a reason.

    Raises:
        ValueError: an engine that does not exist, or pictures of several sizes after preprocessing.
    """
    if engine != "local":
        raise ValueError(f"unknown engine {engine!r}: expected 'local', the one that exists now")
    encoders = [encoders] if isinstance(encoders, Encoder) else list(encoders)
    todo = {encoder: set(store.missing(encoder, images)) for encoder in encoders}
    shards = sorted(set().union(*todo.values()))
    with _progress() as progress, ThreadPoolExecutor(THREADS) as pool:
        task = progress.add_task(images.name, total=sum(len(_rows(images, store, k)) for k in shards))
        for shard in shards:
            active = [encoder for encoder in encoders if shard in todo[encoder]]
            for batch in _shard(active, images, store, shard, pool):
                progress.advance(task, batch)
    for encoder in encoders:
        store.finish(encoder, images)
    return store


def features(
    encoder: Encoder, images: ImageSet, store: FeatureStore | None = None, point: str = "pre"
) -> Features:
    """Features of one encoder at one point, extracted if need be; ``store`` defaults to one in the cache.

    Raises:
        UnknownNameError: the encoder has no such point.
        ValueError: as ``extract``.
    """
    store = store or FeatureStore(paths.cache() / "features")
    if not store.has(encoder, images, point):
        extract(encoder, images, store)
    row_N = store.rows(encoder, images, point)
    y_N = None if images.y_N is None else images.y_N[row_N]
    return Features(store.read(encoder, images, point), y_N, row_N, store.failures(encoder, images, point))


def _rows(images: ImageSet, store: FeatureStore, shard: int) -> range:
    return range(len(images))[shard * store.shard_rows : (shard + 1) * store.shard_rows]


def _shard(
    encoders: list[Encoder], images: ImageSet, store: FeatureStore, shard: int, pool: ThreadPoolExecutor
) -> Iterator[int]:
    """Extract and publish one shard; yields the number of pictures after each batch."""
    collected = {encoder: _Collected(encoder, images) for encoder in encoders}
    for rows, decoded in _decoded(encoders, images, _rows(images, store, shard), pool):
        for part in collected.values():
            part.add(rows, decoded)
        yield len(rows)
    for encoder, part in collected.items():
        h = {point: torch.cat(batches) for point, batches in part.h.items()}
        store.write(encoder, images, shard, h, torch.tensor(part.kept, dtype=torch.int64), part.failures)


class _Collected:
    """Features of one encoder over one shard, as they come."""

    def __init__(self, encoder: Encoder, images: ImageSet) -> None:
        self.encoder, self.images = encoder, images
        self.h = {point: [torch.empty(0, dim)] for point, dim in encoder.dims.items()}
        self.kept: list[int] = []
        self.failures: list[dict] = []

    def add(self, rows: range, decoded: list[Decoded]) -> None:
        """Encode one batch; record what did not decode and what came out not finite."""
        good = [i for i, result in enumerate(decoded) if not isinstance(result, str)]
        reasons = {i: result for i, result in enumerate(decoded) if isinstance(result, str)}
        if good:
            h = self._encode([decoded[i] for i in good])
            finite_N = torch.stack([h_ND.isfinite().all(1) for h_ND in h.values()]).all(0)
            reasons |= {i: "features not finite" for i, ok in zip(good, finite_N, strict=True) if not ok}
            self.kept += [rows[i] for i, ok in zip(good, finite_N, strict=True) if ok]
            for point, h_ND in h.items():
                self.h[point].append(h_ND[finite_N])
        for i, reason in sorted(reasons.items()):
            self.failures.append({"row": rows[i], "key": self.images.keys[rows[i]], "reason": reason})

    @torch.inference_mode()
    def _encode(self, decoded: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        steps = self.encoder.preprocess
        pixels = [by_geometry[steps.shared_as] for by_geometry in decoded]
        if len(sizes := {tuple(x.shape) for x in pixels}) > 1:
            found = " and ".join(map(str, sorted(sizes)[:2]))
            raise ValueError(f"{self.encoder.name}: expected one size after preprocessing, found {found}")
        x_NCHW = steps.normalise(torch.stack(pixels).to(self.encoder.device))
        return {point: h_ND.cpu() for point, h_ND in self.encoder.encode(x_NCHW).items()}


def _decoded(
    encoders: list[Encoder], images: ImageSet, rows: range, pool: ThreadPoolExecutor
) -> Iterator[tuple[range, list[Decoded]]]:
    """Decode a shard batch by batch, one batch ahead; batches never reach over a shard's end."""
    geometries = {encoder.preprocess.shared_as: encoder.preprocess for encoder in encoders}
    batches = [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]

    def submit(batch: range) -> list[Future]:
        return [pool.submit(_decode, images, i, geometries) for i in batch]

    ahead = submit(batches[0])
    for batch, following in zip(batches, [*batches[1:], range(0)], strict=True):
        now, ahead = ahead, submit(following)
        yield batch, [future.result() for future in now]


def _decode(images: ImageSet, i: int, geometries: dict[str, Preprocess]) -> Decoded:
    try:
        picture = images[i]
    except ImageError as error:
        return str(error)
    try:
        return {name: steps.pixels(picture) for name, steps in geometries.items()}
    except Exception as error:
        error.add_note(f"while preprocessing {images.keys[i]} of {images.name}")
        raise


class _Rate(ProgressColumn):
    """Images per second."""

    def render(self, task: Task) -> Text:
        """Show the speed, once there is one."""
        return Text(f"{task.speed:.0f} images/s" if task.speed else "")


def _progress() -> Progress:
    """Bar with images/s and the time that remains, on a terminal only."""
    console, text = Console(stderr=True), TextColumn("{task.description}")
    columns = (text, BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
