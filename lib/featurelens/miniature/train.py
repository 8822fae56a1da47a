"""Training of the miniature zoo on two CPU cores, resumable at any moment.

AdamW and batches of 256 unless the recipe says otherwise, linear warm-up over the first 5 % of the steps,
cosine decay to zero, gradient norm clipped at 1, bfloat16 for the convolutions. A run's state is saved every
200 steps and a batch is a function of its step, so an interrupted run continues as if it had not stopped.
"""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from rich.progress import track
from timm.optim import Lamb

from featurelens import atomic, checks, paths
from featurelens.miniature import checkpoints, evaluate, objectives, sets, world
from featurelens.miniature.recipes import Recipe, recipe, recipes
from featurelens.miniature.towers import Tower

_SAVE_EVERY = 200
_LOGS = 12  # rows of a training log
_BETAS = (0.9, 0.98)
OPTIMIZERS = {
    "adamw": partial(torch.optim.AdamW, betas=_BETAS),
    # LAMB divides Adam's step by its length, layer by layer (You et al., 2020); EVA-CLIP was trained with it.
    "lamb": partial(Lamb, betas=_BETAS, decoupled_decay=True, max_grad_norm=None),
    "sgd": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
}

Snapshot = Callable[[Tower], dict[str, float]]


def _rate(step: int, steps: int) -> float:
    """Share of the peak learning rate: linear warm-up, then cosine to zero."""
    warm_up = max(1, steps // 20)
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def _optimizer(tower: Tower, spec: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer, without weight decay on vectors (norms, biases, temperature)."""
    parameters = [p for p in tower.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": spec.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return OPTIMIZERS[checks.known("optimizer", spec.optimizer, OPTIMIZERS)](groups, lr=spec.lr)


def initial(spec: Recipe) -> Tower:
    """The network before its first step; a finetuned one starts from its zero-shot weights and head."""
    tower = checkpoints.build(spec)
    if spec.start:
        zero_shot = checkpoints.load(spec.start)
        state = zero_shot.state_dict()
        own = {key: state[key] for key in tower.state_dict() if key in state}
        own["classifier.weight"] = objectives.head(zero_shot, world.names("object")).w_CD
        tower.load_state_dict(own)
    return tower


def _state_path(name: str) -> Path:
    return paths.cache() / "miniature" / "runs" / f"{name}.pt"


class _Run:
    """Network, optimizer and log of one training run, with their place on disk."""

    def __init__(self, spec: Recipe, snapshot: Snapshot = evaluate.snapshot) -> None:
        self.spec, self.snapshot, self.step, self.log = spec, snapshot, 0, []
        self.tower = initial(spec).to(memory_format=torch.channels_last)
        self.optimizer = _optimizer(self.tower, spec)
        self.file = _state_path(spec.name)

    def restore(self) -> None:
        """Continue from the saved state, if there is one."""
        if self.file.exists():
            state = torch.load(self.file, weights_only=True)
            self.tower.load_state_dict(state["tower"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.log = state["step"], state["log"]

    def save(self) -> None:
        """Save the state atomically."""
        parts = {"tower": self.tower.state_dict(), "optimizer": self.optimizer.state_dict()}
        with atomic.replacing(self.file) as part:
            torch.save({**parts, "step": self.step, "log": self.log}, part)

    def note(self, loss: float) -> None:
        """Append a row to the training log."""
        self.log.append({"step": self.step, "loss": round(loss, 4), **self.snapshot(self.tower)})

    def advance(self, batches: objectives.Batches) -> float:
        """One optimizer step; returns its loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.spec.lr * _rate(self.step, self.spec.steps)
        x_NCHW, target = batches(self.step)
        self.tower.train()
        loss = objectives.loss(self.tower, x_NCHW.to(memory_format=torch.channels_last), target)
        if not loss.isfinite():
            found = f"found {loss.item()} at step {self.step}"
            raise FloatingPointError(f"{self.spec.name}: expected a finite loss, {found}")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.tower.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.tower.log_scale is not None:
            self.tower.log_scale.data.clamp_(max=objectives.MAX_LOG_SCALE)
        self.step += 1
        return loss.item()


def _fit(run: _Run) -> None:
    """All steps that are left, with notes and saved states on the way."""
    spec = run.spec
    batches = objectives.Batches(sets.load(spec.data), spec.batch, spec.seed, text=run.tower.text is not None)
    at = {round(spec.steps * (i / _LOGS) ** 2) for i in range(1, _LOGS + 1)}
    if run.step == 0:
        run.note(float("nan"))
    for _ in track(range(run.step, spec.steps), spec.name, show_speed=True):
        loss = run.advance(batches)
        if run.step in at:
            run.note(loss)
        if run.step % _SAVE_EVERY == 0:
            run.save()


def fit(spec: Recipe, snapshot: Snapshot = evaluate.snapshot) -> tuple[Tower, list[dict[str, float]]]:
    """Train the network of a recipe to the end, or go on with it.

    Args:
        spec: what to train.
        snapshot: what a row of the log says of the network, beside step and loss.

    Returns:
        The network and its log. The saved state stays until :func:`forget` is called.

    Raises:
        FloatingPointError: the loss is not finite; the last saved state stays.
    """
    run = _Run(spec, snapshot)
    run.restore()
    if spec.steps:
        torch.set_flush_denormal(True)  # of the whole process, so it is undone below
        try:
            _fit(run)
        finally:
            torch.set_flush_denormal(False)
    return run.tower, run.log


def forget(name: str) -> None:
    """Delete the saved state of a run whose result is stored."""
    _state_path(name).unlink(missing_ok=True)


def train(name: str) -> None:
    """Train one network of the zoo, or go on with it, and write its checkpoint and log."""
    spec = recipe(name)
    tower, log = fit(spec)
    facts = {"recipe": vars(spec), "torch": torch.__version__, "data": sets.fingerprint(spec.data)}
    if log:
        atomic.write_text(checkpoints.log_path(name), pd.DataFrame(log).to_csv(index=False))
    checkpoints.save(name, tower, facts)
    forget(name)


def pending() -> list[str]:
    """Networks without a checkpoint, in the order in which they can be trained."""
    return [name for name in recipes() if not checkpoints.path(name).exists()]


def write_tables() -> None:
    """Write the tables of ``data/miniature/``: ``adversarial``, the baselines' accuracies, checksums.

    Raises:
        FileNotFoundError: the reference or a baseline network has not been trained on this machine.
    """
    chosen = evaluate.adversarial_table()
    atomic.write_text(sets.adversarial_path(), chosen.to_csv(index=False))
    rows = evaluate.baseline_table()
    atomic.write_text(evaluate.baselines_path(), rows.round(6).to_csv(index=False))
    atomic.write_text(sets.adversarial_path().with_name("checksums.txt"), checkpoints.checksums())
