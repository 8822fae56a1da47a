"""The toy model of superposition: its data and losses against closed forms, its results as a whole."""

import numpy as np
import pytest
import torch

from featurelens import toy


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def short(monkeypatch):
    """Training of a tenth of a second, not kept."""
    monkeypatch.setattr(toy, "STEPS", 20)
    monkeypatch.setattr(toy, "TEST_BATCHES", 2)
    return toy.train.__wrapped__


def test_examples_are_rare_and_uniform():
    x_SRBF = toy._examples(4000, generator()).unflatten(0, (len(toy.SPARSITIES), toy.SEEDS))
    for x, sparsity in zip(x_SRBF, toy.SPARSITIES, strict=True):
        there = x[x > 0]
        assert len(there) / x.numel() == pytest.approx(1 - sparsity, rel=0.05)
        assert there.max() <= 1 and there.mean() == pytest.approx(0.5, abs=0.02)
        assert there.var() == pytest.approx(1 / 12, rel=0.05)
    assert not x_SRBF[0, 0].equal(x_SRBF[0, 1])


def test_loss_is_the_weighted_squared_error():
    w_GHF, b_G1F = (
        torch.randn(30, 5, 20, generator=generator()),
        torch.randn(30, 1, 20, generator=generator(1)),
    )
    x_GBF = toy._examples(7, generator(2))
    expected = np.zeros(30)
    for g in range(30):
        for x in x_GBF[g].numpy():
            w = w_GHF[g].numpy()
            restored = np.maximum(w.T @ (w @ x) + b_G1F[g, 0].numpy(), 0)
            expected[g] += sum(0.9**i * (restored[i] - x[i]) ** 2 for i in range(20)) / 7
    np.testing.assert_allclose(toy._loss(w_GHF, b_G1F, x_GBF), expected, rtol=1e-4)


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.97])
def test_linear_loss_is_that_of_keeping_the_most_important(sparsity):
    draws = np.random.default_rng(0)
    x = draws.random((200_000, 20)) * (draws.random((200_000, 20)) >= sparsity)
    restored = np.where(np.arange(20) < 5, x, x.mean(0))
    loss = ((x - restored) ** 2 * 0.9 ** np.arange(20)).sum(1).mean()
    assert toy.linear_loss(sparsity) == pytest.approx(loss, rel=0.02)


def test_no_linear_model_is_better():
    weight_F = toy.importances().double()
    target = toy.linear_loss(0.5) / (0.5 / 3 - 0.25 / 4)  # in variances
    for seed in range(3):
        w_HF = torch.randn(5, 20, generator=generator(seed), dtype=torch.float64).requires_grad_()
        optimizer = torch.optim.LBFGS([w_HF], max_iter=500, line_search_fn="strong_wolfe")

        def loss(w_HF=w_HF, optimizer=optimizer):
            optimizer.zero_grad()
            value = ((torch.eye(20).double() - w_HF.T @ w_HF).square() * weight_F[:, None]).sum()
            value.backward()
            return value

        optimizer.step(loss)
        assert loss().item() == pytest.approx(target, rel=1e-4)


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, float("nan")])
def test_sparsity_outside_is_refused(sparsity):
    with pytest.raises(ValueError, match="at least 0 and below 1, found"):
        toy.linear_loss(sparsity)


def test_one_thread_trains_and_the_global_seed_changes_no_digit(short, monkeypatch):
    loss, used, before = toy._loss, set(), torch.get_num_threads()
    monkeypatch.setattr(toy, "_loss", lambda *x: used.add(torch.get_num_threads()) or loss(*x))
    first = short()
    torch.manual_seed(1)
    torch.set_num_threads(2)
    try:
        second = short()
        assert used == {1} and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    for a, b in zip(first, second, strict=True):
        assert a.equal(b)


def test_seeds_differ_and_every_sparsity_starts_alike(short, monkeypatch):
    monkeypatch.setattr(toy, "RATE", 0.0)
    w_SRHF = short().w_SRHF
    assert w_SRHF.shape == (len(toy.SPARSITIES), toy.SEEDS, toy.HIDDEN, toy.INPUTS)
    assert all(w_RHF.equal(w_SRHF[0]) for w_RHF in w_SRHF)
    assert not w_SRHF[0, 0].equal(w_SRHF[0, 1])


def test_products_of_a_setting_that_is_not_trained_are_refused():
    for sparsity, seed in ((0.3, 0), (0.9, 99)):
        with pytest.raises(ValueError, match=f"found {sparsity} and {seed}"):
            toy.products(sparsity, seed)


@pytest.mark.slow
def test_superposition_pays_when_inputs_are_rare():
    table = toy.table()
    assert len(table) == len(toy.SPARSITIES) * toy.SEEDS and table.notna().all(axis=None)
    by = table.groupby("sparsity")
    dense, half, sparse = by.get_group(0), by.get_group(0.7), by.get_group(0.99)
    assert (dense["represented"] == 5).all() and dense["ratio"].between(0.99, 1.01).all()
    assert (dense["interference"] < 0.01).all() and np.allclose(dense["own_dimension"], 1, atol=0.01)
    # Ten inputs in pairs of opposite directions: each has half a dimension.
    assert (half["represented"] == 10).all() and np.allclose(half["own_dimension"], 0.5, atol=0.01)
    assert (sparse["represented"] >= 15).all() and (sparse["ratio"] < 0.3).all()
    assert by["ratio"].mean().is_monotonic_decreasing and by["per_dimension"].mean().is_monotonic_increasing
    assert (table["largest"] >= table["welch"]).all()


@pytest.mark.slow
def test_products_are_those_of_the_weights():
    square = toy.products(0.7, 1).pivot(index="row", columns="column", values="product")
    w_HF = toy.train().w_SRHF[2, 1].numpy()
    np.testing.assert_allclose(square, w_HF.T @ w_HF)
    assert square.index.tolist() == square.columns.tolist() == list(range(1, 21))
    assert (np.diag(square) > 0.5).sum() == 10 and (square.to_numpy() < -0.8).sum() == 10
