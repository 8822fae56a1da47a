"""Directions against numpy's decomposition, invariances, and heads whose answer is known."""

from importlib import import_module

import numpy as np
import pytest
import scipy.stats
import torch

from featurelens import kernels
from featurelens.kernels import Directions


def gaussian(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def restored(d: Directions) -> torch.Tensor:
    return (d.u_CK * d.s_K) @ d.v_DK.T


SHAPES = [(7, 20), (20, 7), (9, 9), (2, 30)]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


# The decomposition


@each_shape
def test_directions_are_numpys_and_restore_the_head(shape):
    w_CD = gaussian(*shape)
    d = kernels.directions(w_CD)
    u_CK, s_K, v_KD = np.linalg.svd(w_CD.double().numpy(), full_matrices=False)
    np.testing.assert_allclose(d.s_K, s_K, rtol=1e-12)
    np.testing.assert_allclose(d.v_DK.T.abs(), np.abs(v_KD), atol=1e-10)
    np.testing.assert_allclose(d.u_CK.abs(), np.abs(u_CK), atol=1e-10)
    torch.testing.assert_close(restored(d), w_CD.double(), rtol=0, atol=1e-12)
    assert d.rank == min(shape)


@each_shape
def test_the_largest_entry_of_every_direction_is_positive(shape):
    for w_CD in (gaussian(*shape), -gaussian(*shape)):
        v_DK = kernels.directions(w_CD).v_DK
        assert (v_DK.gather(0, v_DK.abs().argmax(0, keepdim=True)) > 0).all()


def test_a_head_in_half_precision_has_the_directions_of_its_values():
    w_CD = gaussian(6, 10).half()
    assert torch.equal(kernels.directions(w_CD).s_K, kernels.directions(w_CD.double()).s_K)


def test_equal_rows_lower_the_rank_and_nothing_else():
    w_CD = gaussian(8, 20)
    w_CD[5] = w_CD[2]
    d = kernels.directions(w_CD)
    assert d.rank == 7 and d.s_K[-1] < 1e-6
    torch.testing.assert_close(restored(d), w_CD.double(), rtol=0, atol=1e-12)


def test_rotating_the_space_rotates_the_directions_only():
    w_CD = gaussian(10, 16)
    plain, turned = kernels.directions(w_CD), kernels.directions(kernels.random_rotation(w_CD.double(), 3))
    torch.testing.assert_close(turned.s_K, plain.s_K)
    torch.testing.assert_close(turned.u_CK.abs(), plain.u_CK.abs())


# Importance


@each_shape
def test_importance_is_the_formula(shape):
    w_CD, h_ND = gaussian(*shape), gaussian(50, shape[1], seed=1)
    found = kernels.importance(kernels.directions(w_CD), h_ND)
    torch.testing.assert_close(found.float(), kernels.importance_plain(w_CD, h_ND), rtol=1e-4, atol=1e-6)


def test_importance_ignores_scale_of_head_and_lengths_of_features():
    w_CD, h_ND = gaussian(6, 10), gaussian(40, 10, seed=1)
    first = kernels.importance(kernels.directions(w_CD), h_ND)
    again = kernels.importance(kernels.directions(7 * w_CD), h_ND * torch.arange(1, 41)[:, None])
    torch.testing.assert_close(again, first, rtol=1e-5, atol=0)


def test_importance_does_not_depend_on_blocks(monkeypatch):
    d, h_ND = kernels.directions(gaussian(6, 10)), gaussian(40, 10, seed=1)
    whole = kernels.importance(d, h_ND)
    monkeypatch.setattr(import_module("featurelens.kernels.directions"), "ROWS", 7)
    torch.testing.assert_close(kernels.importance(d, h_ND), whole)


def test_features_along_one_direction_leave_importance_to_it():
    d = kernels.directions(gaussian(6, 10))
    i_K = kernels.importance(d, d.v_DK[:, 3].expand(5, -1))
    torch.testing.assert_close(i_K[3], d.s_K[3] / d.s_K.sum())
    assert i_K.sum() - i_K[3] < 1e-12


# Reduced-rank regression


@each_shape
def test_reduced_rank_reproduces_scores_as_well_as_anything_of_its_rank(shape):
    w_CD, h_ND = gaussian(*shape).double(), gaussian(200, shape[1], seed=1).double() * 3
    h_ND[:, 0] += 9
    d, scores_NC = kernels.reduced_rank(w_CD, h_ND), h_ND @ w_CD.T
    torch.testing.assert_close(restored(d), w_CD, rtol=0, atol=1e-10)
    s_K = np.linalg.svd(scores_NC.numpy(), compute_uv=False)
    for k in range(1, min(shape)):
        kept = Directions(d.u_CK[:, :k], d.s_K[:k], d.v_DK[:, :k])
        error = (h_ND @ restored(kept).T - scores_NC).square().sum()
        best = (s_K[k:] ** 2).sum()  # Eckart and Young: no matrix of rank k is closer to the scores
        assert error == pytest.approx(best, rel=1e-4)
        svd = kernels.directions(w_CD)
        rival = restored(Directions(svd.u_CK[:, :k], svd.s_K[:k], svd.v_DK[:, :k]))
        assert error <= (h_ND @ rival.T - scores_NC).square().sum() * (1 + 1e-9)


def test_reduced_rank_is_the_whole_head_with_fewer_images_than_coordinates():
    w_CD = gaussian(30, 20)
    d = kernels.reduced_rank(w_CD, gaussian(5, 20, seed=1))
    torch.testing.assert_close(restored(d), w_CD.double(), rtol=0, atol=1e-6)


# Concentration, overlap and controls


def test_concentration_of_known_spectra():
    even = kernels.concentration(torch.tensor([1.0, 1.0, 1.0, 1.001]))
    assert even.top_share == pytest.approx(0.25, abs=1e-3) and even.effective == pytest.approx(4, abs=1e-3)
    single = kernels.concentration(torch.eye(8)[2])
    assert single.top_share == 1 and single.effective == pytest.approx(1)
    values = np.random.default_rng(0).gamma(1.0, size=50)
    found = kernels.concentration(torch.from_numpy(values))
    assert found.effective == pytest.approx(np.exp(scipy.stats.entropy(values)))
    assert found.kurtosis == pytest.approx(scipy.stats.kurtosis(values, fisher=False))


def test_overlap_of_directions_with_axes():
    d = kernels.directions(torch.diag(torch.tensor([3.0, 2.0, 1.0])))
    assert kernels.overlap(d, [1]).tolist() == [0, 1, 0]
    turned = kernels.directions(kernels.random_rotation(gaussian(40, 200), 0))
    assert kernels.overlap(turned, [3, 7]).mean() == pytest.approx(2 / 200, rel=0.5)
    torch.testing.assert_close(kernels.overlap(turned, range(200)), torch.ones(40).double())


def test_random_head_keeps_the_length_of_rows_and_nothing_else():
    w_CD = gaussian(300, 50) + 4
    control = kernels.random_head(w_CD, seed=1)
    torch.testing.assert_close(control.norm(dim=1), w_CD.norm(dim=1))
    assert torch.equal(control, kernels.random_head(w_CD, seed=1))
    s_K = kernels.directions(control / control.norm(dim=1, keepdim=True)).s_K
    low, high = 1 - (50 / 300) ** 0.5, 1 + (50 / 300) ** 0.5  # edges of Marchenko and Pastur's law
    assert s_K.max() / 6**0.5 == pytest.approx(high, rel=0.1)
    assert s_K.min() / 6**0.5 == pytest.approx(low, rel=0.1)


# Bad input

HEAD, IMAGES = gaussian(4, 6), gaussian(5, 6)
GOOD = kernels.directions(HEAD)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: kernels.directions(HEAD[:1].repeat(9, 1)), ValueError, "rows that differ, found 9 equal"),
        (lambda: kernels.directions(HEAD.long()), TypeError, "head: expected a floating dtype"),
        (lambda: kernels.directions(HEAD / 0), ValueError, "head: expected finite"),
        (lambda: kernels.importance(GOOD, gaussian(5, 7)), ValueError, "expected 6 coordinates, found 7"),
        (
            lambda: kernels.importance(GOOD, IMAGES * torch.tensor([[1], [1], [0], [1], [1]])),
            ValueError,
            "row 2",
        ),
        (lambda: kernels.importance(GOOD, IMAGES * torch.nan), ValueError, "found NaN"),
        (lambda: kernels.reduced_rank(HEAD, gaussian(5, 7)), ValueError, "expected 6 coordinates, found 7"),
        (lambda: kernels.overlap(GOOD, [6]), ValueError, "from 0 to 5, found 6"),
        (lambda: kernels.overlap(GOOD, [1, 1]), ValueError, "1 repeated"),
        (lambda: kernels.concentration(torch.tensor([1.0, -1.0])), ValueError, "non-negative"),
        (lambda: kernels.random_head(HEAD[0], 0), ValueError, "non-empty matrix"),
    ],
)
def test_bad_input_is_one_line(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
