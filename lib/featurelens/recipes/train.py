"""A training run: resumable at any step, on one device or many (Lightning Fabric), for all three recipes.

What a step does follows from the recipe and the number of the step alone: its pictures, crops and dropout.
So a run that was stopped at any moment goes on from its last saved state as if it had not been stopped.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from open_clip_train.scheduler import cosine_lr
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from featurelens.recipes import data, gradients, networks, weights
from featurelens.recipes.evaluate import evaluate
from featurelens.recipes.plan import Plan
from featurelens.recipes.state import Log, State, belongs

MAX_LOG_SCALE = math.log(100)  # as in open_clip's training, after Radford et al. (2021)


def train(plan: Plan, out: Path) -> Path:
    """Train the network of a plan, or go on where an earlier call stopped; return the file of its weights.

    ``out`` gets ``model.safetensors``, ``metrics.csv``, ``speed.csv``, ``failures.csv``, and for a finetuned
    network ``start.safetensors``, what it started from; while training also ``state.pt``.

    Raises:
        ModuleNotFoundError: the extra ``train`` is not installed.
        FloatingPointError: the loss or its gradient is not finite; the last saved state stays.
        ValueError: ``out`` belongs to another run, or fewer GPUs than the plan has devices.
    """
    result = out / "model.safetensors"
    if out.exists() and not out.is_dir():
        raise ValueError(f"expected a folder to write to, found the file {out}")
    if result.exists():
        belongs(result, weights.info(result).get("identity", {}), plan.identity())
        (out / "state.pt").unlink(missing_ok=True)
        return result
    fabric = _fabric(plan)
    with torch.random.fork_rng(devices=[]):
        run = _Run(fabric, plan, out)
        run.restore()
        run.fit()
    if fabric.is_global_zero:
        weights.write(result, run.network.state_dict(), run.info)
        run.state.path.unlink(missing_ok=True)
    fabric.barrier()
    return result


def _fabric(plan: Plan):
    """The processes of the run, started."""
    try:
        from lightning_fabric import Fabric
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("training needs lightning-fabric: install featurelens[train]") from error
    if torch.cuda.is_available() and plan.devices > torch.cuda.device_count():
        raise ValueError(f"expected {plan.devices} GPUs, found {torch.cuda.device_count()}")
    fabric = Fabric(
        accelerator="cuda" if torch.cuda.is_available() else "cpu",
        devices=plan.devices,
        strategy="ddp" if plan.devices > 1 else "auto",
        precision=plan.recipe.precision,
    )
    fabric.launch()
    return fabric


class _Run:
    """Network, optimizer and log of one run, with their place on disk."""

    def __init__(self, fabric, plan: Plan, out: Path) -> None:
        self.fabric, self.plan, self.recipe, self.out, self.step = fabric, plan, plan.recipe, out, 0
        torch.manual_seed(data.seed(self.recipe.seed, data.WEIGHTS))
        self.network = networks.build(self.recipe, plan.train.classes.names, fabric.device)
        if self.recipe.channels_last:
            self.network.to(memory_format=torch.channels_last)
        self.log, self.state = Log(), State(out / "state.pt", plan.identity())
        facts = {"training": plan.train.facts, "validation": self.state.identity["validation data"]}
        self.info = weights.described(self.recipe, self.network, plan.train.classes, facts)
        self.info |= {"identity": self.state.identity, "devices": plan.devices}
        optimizer = torch.optim.AdamW(
            _groups(self.network, self.recipe),
            lr=self.recipe.lr,
            betas=tuple(self.recipe.betas),
            eps=self.recipe.eps,
        )
        self.model, self.optimizer = fabric.setup(self.network, optimizer)
        self.set_rate = cosine_lr(optimizer, self.recipe.lr, self.recipe.warm_up, plan.steps)

    def restore(self) -> None:
        """Take over the saved state, or save what a finetuned network starts from."""
        saved = self.state.read()
        if saved is None:
            if self.recipe.kind == "finetuned" and self.fabric.is_global_zero:
                start = {**self.info, "alpha": 0.0}
                weights.write(self.out / "start.safetensors", self.network.state_dict(), start)
            return
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.step, self.log = saved["step"], Log(**saved["log"])

    def save(self) -> None:
        """Save the state and write the tables; failures of all processes are put together."""
        if self.fabric.world_size > 1:
            every = [None] * self.fabric.world_size
            torch.distributed.all_gather_object(every, self.log.failures)
            self.log.failures = {key: row for some in every for key, row in some.items()}
        if self.fabric.is_global_zero:
            parts = {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}
            self.state.write(**parts, step=self.step, log=dict(vars(self.log)))
            self.log.write(self.out)
        self.fabric.barrier()

    def fit(self) -> None:
        """All epochs that are left; each is saved when its steps are done and again with its accuracy."""
        while True:
            epoch, done = divmod(self.step, self.plan.steps_per_epoch)
            validated = any("accuracy" in row and row["epoch"] == epoch for row in self.log.metrics)
            if self.step and not done and not validated:
                self.log.metrics.append({"epoch": epoch, "step": self.step, **self.validate()})
                self.save()
            if self.step == self.plan.steps:
                return
            self.run_epoch(epoch, done)
            self.save()

    def validate(self) -> dict:
        """Accuracy and kurtosis on the validation pictures; empty without any."""
        if self.plan.validation is None:
            return {"accuracy": None}
        if self.fabric.world_size > 1:
            # Each process has its own statistics of batch norm; the network that is saved has the first's.
            for buffer in self.network.buffers():
                torch.distributed.broadcast(buffer, 0)
        transform = networks.transform(self.info["preprocess"])
        items = data.Items(self.plan.validation, transform, None, self.recipe.seed)
        found, failures = evaluate(self.fabric, self.network, items, self.recipe, self.plan.pass_size)
        self.log.fail("validation", failures)
        return found

    def run_epoch(self, epoch: int, first: int) -> None:
        """Train from step ``first`` of an epoch to its end."""
        plan, recipe = self.plan, self.recipe
        tokenizer = networks.tokenizer(recipe.model) if recipe.kind == "contrastive" else None
        transform = networks.transform(self.info["preprocess"], recipe)
        items = data.Items(plan.train, transform, tokenizer, recipe.seed)
        share = {"rank": self.fabric.global_rank, "world": plan.devices, "workers": recipe.workers}
        steps = data.training_steps(items, epoch, first, recipe.batch, recipe.accumulate, **share)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        console = Console(stderr=True)
        hidden = not (self.fabric.is_global_zero and console.is_terminal)
        shown = Progress(*columns, TextColumn("{task.fields[speed]}"), console=console, disable=hidden)
        with shown as progress:
            text = f"{recipe.name} epoch {epoch + 1}/{recipe.epochs}"
            task = progress.add_task(text, total=plan.steps_per_epoch, completed=first, speed="")
            mark = time.perf_counter(), self.step
            for passes in steps:
                loss = self.advance([self.moved(part) for part in passes])
                if self.step % recipe.log_every == 0:
                    speed = recipe.batch * (self.step - mark[1]) / (time.perf_counter() - mark[0])
                    mark = time.perf_counter(), self.step
                    lr = self.optimizer.param_groups[0]["lr"]
                    self.log.metrics.append({"epoch": epoch + 1, "step": self.step, "loss": loss, "lr": lr})
                    self.log.speed.append({"step": self.step, "images_per_second": speed})
                    progress.update(task, speed=f"loss {loss:.4g}, {speed:,.0f} images/s")
                progress.advance(task)
                if self.step % recipe.save_every == 0 and self.step % plan.steps_per_epoch:
                    self.save()

    def moved(self, part: data.Batch) -> data.Batch:
        """A batch on the device; its failures are noted."""
        self.log.fail("training", part.failures)
        x_NCHW, target_N = self.fabric.to_device((part.x_NCHW, part.target_N))
        if self.recipe.channels_last:
            x_NCHW = x_NCHW.contiguous(memory_format=torch.channels_last)
        return data.Batch(x_NCHW, target_N, [])

    def advance(self, passes: list[data.Batch]) -> float:
        """One optimizer step; returns the loss of the whole batch."""
        recipe = self.recipe
        self.set_rate(self.step)
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        gradient = gradients.contrastive if recipe.kind == "contrastive" else gradients.labels
        loss = self.fabric.all_reduce(
            gradient(self.fabric, self.model, passes, self.dropout()), reduce_op="mean"
        )
        self.require_finite("loss", loss)
        # Without a limit the norm is only looked at: clipping at infinity multiplies by one.
        limit = {"max_norm": recipe.clip or math.inf, "error_if_nonfinite": False}
        self.require_finite("gradient", self.fabric.clip_gradients(self.model, self.optimizer, **limit))
        self.optimizer.step()
        if recipe.kind == "contrastive":
            self.network.logit_scale.data.clamp_(0, MAX_LOG_SCALE)
        self.step += 1
        return loss.item()

    def dropout(self) -> Callable[[int], None]:
        """A function that seeds the network's randomness for each pass of this step, twice the same."""
        at = self.recipe.seed, data.DROPOUT, self.step, self.fabric.global_rank
        return lambda number: torch.manual_seed(data.seed(*at, number))

    def require_finite(self, what: str, value: torch.Tensor) -> None:
        """Stop before weights are spoilt."""
        if not torch.isfinite(value):
            kept = "nothing is saved yet" if not self.state.path.exists() else f"{self.state.path} stays"
            found = f"found {value.item()} at step {self.step + 1}; {kept}"
            raise FloatingPointError(f"{self.recipe.name}: expected a finite {what}, {found}")


def _groups(network: nn.Module, recipe) -> list[dict]:
    """Parameters with and without weight decay."""
    decayed = [p for p in network.parameters() if recipe.decay_vectors or p.ndim >= 2]
    rest = [p for p in network.parameters() if not (recipe.decay_vectors or p.ndim >= 2)]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
