"""Extraction on a Ray cluster: one task a shard; actors hold the encoders; writes may be repeated."""

from collections.abc import Sequence

import numpy as np
import torch

from featurelens import pipeline
from featurelens.pipeline import Work
from featurelens.progress import Advance


def run(works: Sequence[Work], advance: Advance) -> None:
    """Do works of the same encoders on the cluster that is running: an actor for each GPU, or else each core.

    Pictures and store must lie where every machine reaches them. Ray starts a lost actor again and repeats
    its task; a shard that was published meanwhile stays as it is.

    Raises:
        ModuleNotFoundError: Ray is not installed.
        ConnectionError: no cluster is running.
        ValueError: as on this machine.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("engine 'ray': install featurelens[cluster]") from error
    if not ray.is_initialized():
        try:
            ray.init(address="auto", log_to_driver=False)
        except ConnectionError as error:
            raise ConnectionError(
                "engine 'ray': no Ray cluster found: `ray start --head` starts one, RAY_ADDRESS names another"
            ) from error
    resources = ray.cluster_resources()
    gpus, cores = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
    ray.data.DataContext.get_current().enable_progress_bars = False  # there is one already
    shared = ray.put(_on_cpu(works))  # the name keeps it there for actors that are started again
    shards = [{"work": i, "shard": shard} for i, work in enumerate(works) for shard in work.todo]
    done = ray.data.from_items(shards, override_num_blocks=len(shards)).map_batches(
        Worker,
        fn_constructor_args=([shared],),
        batch_size=1,
        num_gpus=1 if gpus else 0,
        compute=ray.data.ActorPoolStrategy(size=min(gpus or cores, len(shards))),
    )
    for row in done.iter_rows():
        if row["error"]:
            raise ValueError(row["error"])
        _seen(works[row["work"]], row["shard"])
        advance(row["pictures"])


def _seen(work: Work, shard: int) -> None:
    """Refuse a store of which every machine has its own, at the first shard and not at the end."""
    encoder = work.encoders[work.todo[shard][0]]
    if shard in work.store.missing(encoder, work.images):
        raise ValueError(
            f"{work.store.path}: expected a store that every machine reaches, found no shard {shard}"
        )


def _on_cpu(works: Sequence[Work]) -> list[Work]:
    encoders = [pipeline.replica(encoder, torch.device("cpu")) for encoder in works[0].encoders]
    return [Work(encoders, work.images, work.store, work.todo) for work in works]


class Worker:
    """An actor: the encoders on its GPU, or on the processor."""

    def __init__(self, shared: list) -> None:
        """Take the works out of Ray's object store; the list keeps Ray from handing them over itself."""
        import ray

        self.works: list[Work] = ray.get(shared[0])
        if ray.get_runtime_context().get_accelerator_ids().get("GPU"):  # what was given to this actor
            for encoder in self.works[0].encoders:
                encoder.module.to("cuda")

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Make the shard of a task. What is wrong with the input comes back as text: Ray would add pages."""
        [number], [shard] = batch["work"].tolist(), batch["shard"].tolist()
        error = ""
        try:
            pipeline.run(self.works[number], [shard], lambda _: None)
        except ValueError as caught:
            error = str(caught)
        return {
            **batch,
            "pictures": np.array([len(self.works[number].rows(shard))]),
            "error": np.array([error]),
        }
