"""Run by test_recipe_resume: a run that is killed (SIGKILL) and taken up, and two runs of two processes each.

A script, since processes may only be forked before torch has taken a gradient; forked, since torch and
open_clip take longer to import than all the runs together.
"""

import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import lightning_fabric  # noqa: F401 (once for all processes)
import open_clip

from featurelens import recipes
from featurelens.cli import app
from featurelens.recipes import plan, train


def forked(work: Callable[[], object]) -> int:
    """Number of a new process that does ``work``."""
    pid = os.fork()
    if not pid:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return pid


def killed(world: Path, toml: Path, out: Path, last: int) -> None:
    """One process that dies without a word after ``last`` steps of the run, then one that ends well."""
    texts = world / "captions.json"
    planned = plan.plan(recipes.read(str(toml)), world / "train", world / "val", texts, world / "classes.txt")
    advance = train._Run.advance

    def dying(run, passes):
        loss = advance(run, passes)
        if run.step == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return loss

    train._Run.advance = dying
    status = os.waitpid(forked(lambda: train.train(planned, out)), 0)[1]
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
    train._Run.advance = advance
    assert os.waitpid(forked(lambda: train.train(planned, out)), 0)[1] == 0


def two(world: Path, toml: Path, out: Path, *more: object) -> None:
    """The command of one run by two processes, started as a launcher would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    given = ["--imagenet", world / "train", "--val", world / "val", "--classes", world / "classes.txt", *more]
    command = [str(part) for part in ("recipe", "run", toml, *given, "--out", out, "--devices", 2)]

    def process(rank: int) -> None:
        os.environ["LOCAL_RANK"] = str(rank)
        app(command, standalone_mode=False)

    pids = [forked(lambda rank=rank: process(rank)) for rank in (0, 1)]
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0]


def main(world: Path, root: Path) -> None:
    """All runs; recipes and results are in ``root``."""
    open_clip.add_model_config(world / "models")
    killed(world, root / "killed.toml", root / "killed", last=5)
    two(world, root / "vit.toml", root / "vit", "--captions", world / "captions.json")
    two(world, root / "resnet.toml", root / "resnet")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
