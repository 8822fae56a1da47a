"""Images -> features: each picture is decoded once for all encoders, whatever they do with it afterwards.

Encoders whose geometry (resize, crop) agrees share that step too. What is already in the store is not done
again: a run that was stopped goes on at the first shard that is missing. Decoding, computing and writing
overlap: pictures decode in threads one batch ahead, a batch goes to a GPU on a stream of its own, features
stay on the device until their shard is done, and a shard is written while the next is computed.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import product
from queue import Empty, SimpleQueue
from threading import Event
from typing import NamedTuple

import torch

from featurelens import checks, paths, pipeline, progress
from featurelens.encoder import Encoder
from featurelens.imagesets import ImageSet
from featurelens.pipeline import Work
from featurelens.store import FeatureStore

ENGINES = ("local", "ray")


class Features(NamedTuple):
    """Features with what belongs to each row: its label, if there are any, and its place in the image set."""

    h_ND: torch.Tensor
    y_N: torch.Tensor | None
    row_N: torch.Tensor
    failures: list[dict]


def missing(encoders: Sequence[Encoder], images: ImageSet, store: FeatureStore) -> Work:
    """Find out what :func:`extract` would have to do.

    Raises:
        ValueError: features of another identity lie in the place of those.
    """
    todo: dict[int, list[int]] = {}
    for number, encoder in enumerate(encoders):
        for shard in store.missing(encoder, images):
            todo.setdefault(shard, []).append(number)
    return Work(list(encoders), images, store, dict(sorted(todo.items())))


def extract(
    encoders: Encoder | Sequence[Encoder],
    images: ImageSet | Sequence[ImageSet],
    store: FeatureStore,
    engine: str = "local",
) -> FeatureStore:
    """Fill ``store`` with the features of ``images`` by every encoder, at every point; return the store.

    Pictures that do not decode, or whose features are not finite, are left out and recorded with a reason.

    Args:
        encoders: one or more.
        images: the pictures; several sets come one after another.
        store: where features go; with ``ray``, a place that every machine reaches.
        engine: *local*, this machine with every GPU it shows; *ray*, a Ray cluster that is running.

    Raises:
        UnknownNameError: an engine that does not exist.
        ValueError: pictures of several sizes after preprocessing.
        ConnectionError: no Ray cluster is running.
    """
    checks.known("engine", engine, ENGINES)
    encoders = [encoders] if isinstance(encoders, Encoder) else list(encoders)
    sets = [images] if isinstance(images, ImageSet) else list(images)
    works = [work for each in sets if (work := missing(encoders, each, store)).todo]
    if engine == "ray" and works:
        from featurelens import cluster

        with progress.bar("on the cluster", sum(work.pictures for work in works)) as advance:
            cluster.run(works, advance)
    for work in works if engine == "local" else ():
        with progress.bar(work.images.name, work.pictures) as advance:
            _run(work, advance)
    for encoder, each in product(encoders, sets):
        store.finish(encoder, each)
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


def _run(work: Work, advance: progress.Advance) -> None:
    """Do the work on this machine: on each GPU if there are several, else where the encoders are."""
    gpus = torch.cuda.device_count()
    if gpus < 2:
        pipeline.run(work, list(work.todo), advance)
        return
    waiting: SimpleQueue[int] = SimpleQueue()
    for shard in work.todo:
        waiting.put(shard)
    stop = Event()
    with ThreadPoolExecutor(gpus) as pool:
        on = [pool.submit(_run_on, gpu, work, _taken(waiting, stop), advance) for gpu in range(gpus)]
        try:
            for each in as_completed(on):
                each.result()
        finally:
            stop.set()  # an error on one GPU, or Ctrl-C, ends the others after the shard they are at


def _taken(waiting: SimpleQueue, stop: Event) -> Iterator[int]:
    """Shards for one GPU: the next that nobody has taken, until there are none or the run is stopped."""
    while not stop.is_set():
        try:
            yield waiting.get_nowait()
        except Empty:
            return


def _run_on(gpu: int, work: Work, waiting: Iterator[int], advance: progress.Advance) -> None:
    with torch.cuda.device(gpu):
        replicas = [pipeline.replica(encoder, torch.device("cuda", gpu)) for encoder in work.encoders]
        pipeline.run(Work(replicas, work.images, work.store, work.todo), waiting, advance)
