"""Shards of features, made one after another: decoding, computing and writing overlap."""

import copy
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from featurelens import decoding
from featurelens.encoder import Encoder
from featurelens.imagesets import ImageSet
from featurelens.preprocess import Preprocess
from featurelens.progress import Advance
from featurelens.store import FeatureStore

# Pictures a batch: features differ in their last digits with it, so it is no option.
BATCH, BATCH_CUDA = 64, 256
CACHED = 4  # pictures normalised at a time on a CPU, so that they stay in its cache


class Made(NamedTuple):
    """Features of one shard by one encoder (on the CPU, by point), their rows, and what was left out."""

    encoder: Encoder
    h: dict[str, torch.Tensor]
    row_N: torch.Tensor
    failures: list[dict]


@dataclass(frozen=True)
class Work:
    """What is missing in a store: for each shard the encoders, by number, that have not written it."""

    encoders: list[Encoder]
    images: ImageSet
    store: FeatureStore
    todo: dict[int, list[int]]

    @property
    def pictures(self) -> int:
        """Pictures to decode."""
        return sum(len(self.rows(shard)) for shard in self.todo)

    def rows(self, shard: int) -> range:
        """Rows of one shard."""
        step = self.store.shard_rows
        return range(len(self.images))[shard * step : (shard + 1) * step]


def replica(encoder: Encoder, device: torch.device) -> Encoder:
    """Copy an encoder to a device, without its text side, which no picture needs."""
    copied = copy.deepcopy(replace(encoder, text=None))
    copied.module.to(device)
    return copied


def run(work: Work, shards: Iterable[int], advance: Advance) -> None:
    """Make shards one after another with the encoders where they are, each written during the next."""
    written: Future | None = None
    prepared = Prepared(work.encoders)
    with decoding.threads() as pool, ThreadPoolExecutor(1) as writer:
        for shard in shards:
            parts = _shard(work, shard, prepared, pool, advance)
            if written:
                written.result()  # at most one shard waits: a killed run repeats no more than that
            written = writer.submit(_write, work, shard, parts)
        if written:
            written.result()


def _shard(
    work: Work, shard: int, prepared: "Prepared", pool: ThreadPoolExecutor, advance: Advance
) -> list[Made]:
    """Features of one shard by each encoder that misses it, with their rows and what was left out."""
    encoders = [work.encoders[number] for number in work.todo[shard]]
    geometries = {encoder.preprocess.shared_as: encoder.preprocess for encoder in encoders}
    size = BATCH_CUDA if any(encoder.device.type == "cuda" for encoder in encoders) else BATCH
    h = [{point: [torch.empty(0, dim)] for point, dim in encoder.dims.items()} for encoder in encoders]
    rows, failures = [], []
    for batch in decoding.batches(work.images, work.rows(shard), geometries, size, pool):
        rows += batch.rows
        failures += batch.failures
        if batch.rows:
            _encode(encoders, batch.pixels, prepared, h)
        advance(len(batch))
    row_N = torch.tensor(rows, dtype=torch.int64)
    return [_finished(work.images, encoder, h[i], row_N, failures) for i, encoder in enumerate(encoders)]


@torch.no_grad()
def _encode(
    encoders: list[Encoder], pixels: dict[str, torch.Tensor], prepared: "Prepared", h: list[dict]
) -> None:
    """Append the features of one batch."""
    ready = prepared(encoders, pixels)
    for encoder, x_NCHW, points in zip(encoders, ready, h, strict=True):
        version = x_NCHW._version
        found = encoder.encode(x_NCHW)
        if x_NCHW._version != version:  # the next encoder would see other pictures
            raise ValueError(
                f"{encoder.name}: expected a network that leaves its input as it is, found changes"
            )
        for point, h_ND in found.items():
            own = h_ND.untyped_storage().data_ptr() != x_NCHW.untyped_storage().data_ptr()
            points[point].append(h_ND if own else h_ND.clone())  # the next batch goes to the same memory


class Prepared:
    """Batches as the encoders take them: what they share is moved to a device and normalised once."""

    def __init__(self, encoders: list[Encoder]) -> None:
        """Make one stream for each device, and memory for each normalisation."""
        self.feeds = {device: Feed(device) for device in {encoder.device for encoder in encoders}}
        self.normals = {str(encoder.preprocess): Normal(encoder.preprocess) for encoder in encoders}

    def __call__(self, encoders: list[Encoder], pixels: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        """Return the batch for each encoder (N x 3 x H x W, on its device); it holds until the next call."""
        moved, normal, ready = {}, {}, []
        for encoder in encoders:
            steps, device = encoder.preprocess, encoder.device
            place, way = (steps.shared_as, device), (str(steps), device)
            if place not in moved:
                moved[place] = self.feeds[device](pixels[steps.shared_as])
            if way not in normal:
                normal[way] = self.normals[str(steps)](moved[place])
            ready.append(normal[way])
        return ready


class Normal:
    """Normalises batches; on a CPU into the same memory each time: new pages cost more than the sums."""

    def __init__(self, steps: Preprocess) -> None:
        self.steps, self.memory = steps, torch.empty(0)

    def __call__(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        """Return the normalised batch, which holds until the next call."""
        if x_NCHW.device.type != "cpu" or self.steps.mean is None:
            return self.steps.normalise(x_NCHW)
        if self.memory.shape[1:] != x_NCHW.shape[1:] or len(self.memory) < len(x_NCHW):
            self.memory = torch.empty(x_NCHW.shape)
        normal_NCHW = self.memory[: len(x_NCHW)]
        for part, pixels in zip(normal_NCHW.split(CACHED), x_NCHW.split(CACHED), strict=True):
            part.copy_(self.steps.normalise(pixels))
        return normal_NCHW


class Feed:
    """Moves batches to a device; to a GPU on a stream of its own, while the batch before is computed."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return the batch on the device."""
        if self.stream is None:
            return x.to(self.device)
        with torch.cuda.stream(self.stream):
            moved = x.pin_memory().to(self.device, non_blocking=True)
        now = torch.cuda.current_stream(self.device)
        now.wait_stream(self.stream)
        moved.record_stream(now)
        return moved


def _finished(
    images: ImageSet, encoder: Encoder, h: dict[str, list[torch.Tensor]], row_N: torch.Tensor, bad: list[dict]
) -> Made:
    """Bring the features of a shard to the CPU; rows that are not finite become failures."""
    whole = {
        point: torch.cat([h_ND.to(encoder.device) for h_ND in parts]).cpu() for point, parts in h.items()
    }
    finite_N = torch.stack([h_ND.isfinite().all(1) for h_ND in whole.values()]).all(0)
    lost = [decoding.failure(images, i, "features not finite") for i in row_N[~finite_N].tolist()]
    failures = sorted([*bad, *lost], key=lambda each: each["row"])
    return Made(encoder, {p: h_ND[finite_N] for p, h_ND in whole.items()}, row_N[finite_N], failures)


def _write(work: Work, shard: int, parts: list[Made]) -> None:
    for encoder, h, row_N, failures in parts:
        work.store.write(encoder, work.images, shard, h, row_N, failures)
