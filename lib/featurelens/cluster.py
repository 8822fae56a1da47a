"""Extraction on a Ray cluster: one task a shard; actors hold the encoders; writes may be repeated."""

import numpy as np
import torch

from featurelens import pipeline
from featurelens.pipeline import Work
from featurelens.progress import Advance


def run(work: Work, advance: Advance) -> None:
    """Do the work on the cluster that is running, an actor for each GPU, or for each processor core without.

    Pictures and store must lie where every machine reaches them. Ray starts a lost actor again and repeats
    its task; a shard that was published meanwhile stays as it is.

    Raises:
        ModuleNotFoundError: Ray is not installed.
        ConnectionError: no cluster is running.
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
    shared = ray.put(_on_cpu(work))  # the name keeps it there for actors that are started again
    tasks = ray.data.from_items([{"shard": k} for k in work.todo], override_num_blocks=len(work.todo))
    done = tasks.map_batches(
        Worker,
        fn_constructor_args=([shared],),
        batch_size=1,
        num_gpus=1 if gpus else 0,
        compute=ray.data.ActorPoolStrategy(size=min(gpus or cores, len(work.todo))),
    )
    for row in done.iter_rows():
        advance(row["pictures"])


def _on_cpu(work: Work) -> Work:
    encoders = [pipeline.replica(encoder, torch.device("cpu")) for encoder in work.encoders]
    return Work(encoders, work.images, work.store, work.todo)


class Worker:
    """An actor: the encoders on its GPU, or on the processor."""

    def __init__(self, shared: list) -> None:
        """Take the work out of Ray's object store; the list keeps Ray from handing over the work itself."""
        import ray

        self.work: Work = ray.get(shared[0])
        if torch.cuda.is_available():
            for encoder in self.work.encoders:
                encoder.module.to("cuda")

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Make the shards of a batch of tasks."""
        pictures = []
        for shard in batch["shard"].tolist():
            pictures.append(len(self.work.rows(shard)))
            pipeline.run(self.work, [shard], lambda _: None)
        return {"shard": batch["shard"], "pictures": np.array(pictures)}
