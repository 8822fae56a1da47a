"""What a run will do, known before it starts: pictures, steps, forward passes."""

from dataclasses import dataclass
from pathlib import Path

from featurelens.recipes import data
from featurelens.recipes.config import Recipe


@dataclass(frozen=True)
class Plan:
    """A recipe and the pictures it will see.

    Attributes:
        recipe: the recipe.
        train: training pictures.
        validation: validation pictures, or None.
        devices: processes, one a device.
    """

    recipe: Recipe
    train: data.Pictures
    validation: data.Pictures | None
    devices: int

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch."""
        return len(self.train.items) // self.recipe.batch

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        return self.steps_per_epoch * self.recipe.epochs

    @property
    def pass_size(self) -> int:
        """Pictures of one forward pass on one device."""
        return self.recipe.batch // (self.devices * self.recipe.accumulate)

    @property
    def forward_passes(self) -> int:
        """Pictures that go through the image tower, in training and validation."""
        twice = self.recipe.kind == "contrastive" and self.recipe.accumulate > 1
        seen = self.steps * self.recipe.batch * (2 if twice else 1)
        return seen + (len(self.validation.y_N) * self.recipe.epochs if self.validation else 0)

    def identity(self) -> dict:
        """All that the result depends on: a saved state of anything else is refused."""
        validation = self.validation.facts if self.validation else None
        return {**self.recipe.identity(), "training data": self.train.facts, "validation data": validation}

    def text(self) -> str:
        """The plan in a few lines."""
        r, facts = self.recipe, self.train.facts
        lines = [
            f"{r.name}: {r.kind} training of {r.model}" + (f" from {r.start}" if r.start else ""),
            f"pictures: {facts['pictures']:,} in {facts['classes']:,} classes "
            f"({facts['left_out']:,} left out: in other folders)",
        ]
        if "records" in facts:
            lines.append(
                f"captions: {facts['captions']:,} of {facts['records']:,} records found their picture "
                f"({facts['without_picture']:,} did not, {facts['empty']:,} are empty, "
                f"{facts['malformed']:,} are malformed)"
            )
        forward, trained = self.forward_passes, self.steps * r.batch
        held = f"{len(self.validation.y_N):,} pictures after each epoch" if self.validation else "none"
        return "\n".join(
            [
                *lines,
                f"validation: {held}",
                f"steps: {self.steps:,} = {r.epochs} epochs of {self.steps_per_epoch:,}; batch {r.batch:,} = "
                f"{self.devices} devices x {r.accumulate} passes x {self.pass_size:,} pictures",
                f"forward passes of pictures: {forward:,} ({trained:,} with backward)",
            ]
        )


def plan(
    recipe: Recipe,
    imagenet: Path,
    validation: Path | None = None,
    captions: Path | None = None,
    class_names: Path | None = None,
    devices: int = 1,
) -> Plan:
    """Read the lists of pictures and captions, and check that the recipe fits them.

    Args:
        recipe: the recipe.
        imagenet: folder ``<wnid>/<file>`` of training pictures.
        validation: the same for validation.
        captions: ``imagenet_captions.json``, for a contrastive recipe and only there.
        class_names: file with lines ``<wnid> <name>``, for other classes than ImageNet's 1,000.
        devices: GPUs, or processes on the CPU.

    Raises:
        UnknownNameError: open_clip does not know the model or the weights to start from.
        FileNotFoundError, ValueError: something is not there, classes are missing, or sizes do not fit.
    """
    from featurelens.recipes import networks  # open_clip takes seconds to import

    networks.check(recipe.model, recipe.start)
    if (captions is None) == (recipe.kind == "contrastive"):
        expected = "a JSON file" if captions is None else f"none for {recipe.kind} training"
        raise ValueError(f"--captions: expected {expected}, found {captions and captions.name}")
    if devices < 1 or recipe.batch % (devices * recipe.accumulate):
        shares = f"{devices} devices x {recipe.accumulate} passes"
        raise ValueError(f"expected a batch that splits over its passes, found {recipe.batch} over {shares}")
    known = data.classes(class_names)
    train = data.folder(imagenet, known)
    if captions is not None:
        train = data.captioned(train, captions, recipe.caption)
    if len(train.items) < recipe.batch:
        raise ValueError(f"expected pictures for a batch of {recipe.batch}, found {len(train.items)}")
    return Plan(recipe, train, data.folder(validation, known) if validation else None, devices)
