"""Run by test_recipe_resume: a run killed (SIGKILL) at each of some steps, then left to its end."""

import os
import signal
import sys
from pathlib import Path

import open_clip

from featurelens import recipes
from featurelens.recipes import plan, train


def child(world: Path, toml: Path, out: Path, last: int | None) -> None:
    """Train; after ``last`` steps of the run die without a word."""
    recipe = recipes.read(str(toml))
    captions = world / "captions.json" if recipe.kind == "contrastive" else None
    planned = plan.plan(recipe, world / "train", world / "val", captions, world / "classes.txt")
    advance = train._Run.advance

    def dying(run, passes):
        loss = advance(run, passes)
        if run.step == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return loss

    train._Run.advance = dying
    train.train(planned, out)


def main(world: Path, toml: Path, out: Path, steps: list[str]) -> None:
    """One process for each death, and one that ends well."""
    open_clip.add_model_config(world / "models")
    for last in [*map(int, steps), None]:
        pid = os.fork()
        if not pid:
            try:
                child(world, toml, out, last)
                os._exit(0)
            finally:
                os._exit(1)
        status = os.waitpid(pid, 0)[1]
        died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        assert died if last else status == 0, (last, status)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
