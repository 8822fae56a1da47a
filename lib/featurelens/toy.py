"""A network so small that superposition can be watched: many rare inputs through few hidden units.

``x_hat = ReLU(W^T W x + b)`` has to restore F inputs from H < F numbers. Input i is zero with probability S
(the sparsity) and otherwise uniform on [0, 1]; the loss is the squared error times the input's importance,
0.9^i, summed over inputs. Without the ReLU nothing could beat keeping the H most important inputs and
guessing the others' mean. With it, rare inputs can share directions: it cuts off what they spill.

All settings and seeds train at once, as one tensor, on one thread of the CPU: the number of cores changes
no digit.

Source: the model of Elhage et al., "Toy models of superposition" (2022).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

import pandas as pd
import torch

from featurelens import superposition

INPUTS, HIDDEN = 20, 5
IMPORTANCE = 0.9  # of each input, relative to the one before
SPARSITIES = (0.0, 0.5, 0.7, 0.9, 0.97, 0.99)
SEEDS = 5
STEPS, BATCH, RATE = 2000, 256, 0.02
# Batches of the loss that is reported: 200,000 examples a network.
TEST_BATCHES, TEST_BATCH = 40, 5000
# An input is represented if its column of W is longer.
REPRESENTED = 0.5


class Trained(NamedTuple):
    """Weights for S sparsities and R seeds, and the loss on fresh examples."""

    w_SRHF: torch.Tensor
    b_SRF: torch.Tensor
    loss_SR: torch.Tensor


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums over a batch round in the same order on every machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def importances() -> torch.Tensor:
    """Weight of each input in the loss."""
    return IMPORTANCE ** torch.arange(INPUTS)


@cache
def train() -> Trained:
    """Train a network for each of ``SPARSITIES`` and ``SEEDS`` seeds, with Adam and a cosine schedule.

    A seed means the same first weights and the same draws at each sparsity. Seconds on one core: about 15.
    """
    random = torch.Generator().manual_seed(0)
    n_runs = len(SPARSITIES) * SEEDS
    first_RHF = torch.randn(SEEDS, HIDDEN, INPUTS, generator=random) / INPUTS**0.5
    w_GHF = first_RHF.repeat(len(SPARSITIES), 1, 1).requires_grad_()
    b_G1F = torch.zeros(n_runs, 1, INPUTS, requires_grad=True)
    optimizer = torch.optim.Adam([w_GHF, b_G1F], lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    # Rare inputs give small losses: per active input, all settings learn at the same pace.
    active_G = 1 - torch.tensor(SPARSITIES).repeat_interleave(SEEDS)
    with _one_thread():
        for _ in range(STEPS):
            loss_G = _loss(w_GHF, b_G1F, _examples(BATCH, random))
            optimizer.zero_grad()
            (loss_G / active_G).sum().backward()
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            fresh = (_loss(w_GHF, b_G1F, _examples(TEST_BATCH, random)) for _ in range(TEST_BATCHES))
            loss_G = sum(fresh) / TEST_BATCHES
    shape = (len(SPARSITIES), SEEDS)
    w_SRHF = w_GHF.detach().unflatten(0, shape)
    return Trained(w_SRHF, b_G1F.detach()[:, 0].unflatten(0, shape), loss_G.unflatten(0, shape))


def _examples(n: int, random: torch.Generator) -> torch.Tensor:
    """Draw inputs of every run: what a uniform number has above S, stretched, is uniform and rarely there."""
    s_S111 = torch.tensor(SPARSITIES)[:, None, None, None]
    u_RBF = torch.rand(SEEDS, n, INPUTS, generator=random)
    return ((u_RBF - s_S111) / (1 - s_S111)).relu().flatten(0, 1)


def _loss(w_GHF: torch.Tensor, b_G1F: torch.Tensor, x_GBF: torch.Tensor) -> torch.Tensor:
    restored_GBF = torch.baddbmm(b_G1F, x_GBF @ w_GHF.mT, w_GHF).relu()
    return (restored_GBF - x_GBF).square().mean(1) @ importances()


def linear_loss(sparsity: float) -> float:
    """Return the least loss without superposition: the H most important inputs kept, the others guessed.

    A guess of the mean costs the variance, (1-S)/3 - (1-S)^2/4. No linear model does better: the inputs are
    independent and of one variance, so this is Eckart and Young's theorem for a diagonal matrix.

    Raises:
        ValueError: a sparsity outside [0, 1).
    """
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity: expected at least 0 and below 1, found {sparsity:g}")
    active = 1 - sparsity
    return (active / 3 - active**2 / 4) * importances()[HIDDEN:].sum().item()


def table() -> pd.DataFrame:
    """Return one row a sparsity and seed.

    ``loss``, ``linear_loss`` (:func:`linear_loss`) and their ``ratio``; ``represented``, inputs whose column
    of W is longer than ``REPRESENTED``; ``per_dimension``, ``|W|_F^2 / H``. Of the represented columns:
    ``interference``, their mean ``|cos|``; ``random``, that of as many random directions; ``largest`` and
    ``welch``, the largest ``|cos|`` and the least it could be; ``own_dimension``, the mean dimensionality.
    """
    trained, rows = train(), []
    for s, sparsity in enumerate(SPARSITIES):
        for seed in range(SEEDS):
            w_FH = trained.w_SRHF[s, seed].T
            own_FH = w_FH[w_FH.norm(dim=1) > REPRESENTED]
            found = superposition.interference(own_FH)
            loss, linear = trained.loss_SR[s, seed].item(), linear_loss(sparsity)
            rows.append(
                {
                    "sparsity": sparsity,
                    "seed": seed,
                    "loss": loss,
                    "linear_loss": linear,
                    "ratio": loss / linear,
                    "represented": len(own_FH),
                    "per_dimension": superposition.concepts_per_dimension(w_FH),
                    "interference": found.mean_T.mean().item(),
                    "random": superposition.random_interference(len(own_FH), HIDDEN).mean,
                    "largest": found.max_T.max().item(),
                    "welch": superposition.welch_bound(len(own_FH), HIDDEN),
                    "own_dimension": superposition.dimensionality(own_FH).mean().item(),
                }
            )
    return pd.DataFrame(rows)


def products(sparsity: float, seed: int = 0) -> pd.DataFrame:
    """Return W^T W of one trained network: ``row`` and ``column``, numbered from 1, and their ``product``.

    Raises:
        ValueError: a sparsity or a seed that is not trained.
    """
    if sparsity not in SPARSITIES or seed not in range(SEEDS):
        expected = f"a sparsity of {', '.join(map(str, SPARSITIES))} and a seed below {SEEDS}"
        raise ValueError(f"expected {expected}, found {sparsity} and {seed}")
    w_HF = train().w_SRHF[SPARSITIES.index(sparsity), seed]
    frame = pd.DataFrame((w_HF.T @ w_HF).numpy())
    frame.index = frame.columns = range(1, INPUTS + 1)
    long = frame.rename_axis(index="row", columns="column").stack().rename("product").reset_index()
    return long.assign(sparsity=sparsity)
