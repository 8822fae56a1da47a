"""Activation kurtosis against closed forms, scipy in float64, and its own invariances."""

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from featurelens.kernels import (
    activation_kurtosis,
    activation_kurtosis_plain,
    kurtosis_contributions,
    moments,
    outlier_coordinates,
    random_rotation,
)


def oracle(h_ND: torch.Tensor) -> torch.Tensor:
    """Scipy in float64: an implementation that shares no line with ours."""
    return torch.from_numpy(scipy.stats.kurtosis(h_ND.double().cpu().numpy(), axis=1, fisher=False))


def gaussian(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def with_outlier(n: int, d: int, coordinate: int, size: float = 20.0) -> torch.Tensor:
    h_ND = gaussian(n, d)
    h_ND[:, coordinate] += size
    return h_ND


def assert_same(found: torch.Tensor, expected: torch.Tensor, rtol: float = 1e-5) -> None:
    torch.testing.assert_close(found.double().cpu(), expected.double(), rtol=rtol, atol=0)


# Closed forms


@pytest.mark.parametrize("d", [4, 64, 1024])
def test_gaussian_rows_average_to_three_d_minus_one_over_d_plus_one(d):
    k_N = activation_kurtosis(gaussian(20_000, d))
    standard_error = k_N.std() / len(k_N) ** 0.5
    assert abs(k_N.mean() - 3 * (d - 1) / (d + 1)) < 4 * standard_error


def test_two_points_in_equal_numbers_give_one():
    h_ND = torch.tensor([-2.0, 5.0]).repeat(3, 50)
    assert_same(activation_kurtosis(h_ND), torch.ones(3))


@pytest.mark.parametrize("d", [2, 3, 512, 1024])
def test_one_hot_gives_the_ceiling(d):
    assert_same(activation_kurtosis(torch.eye(d)[:3]), torch.full((min(d, 3),), d - 2 + 1 / (d - 1)))


# Independent reference


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1, 2), (7, 3), (300, 257), (5, 4096)])
def test_equals_scipy_and_keeps_the_dtype(shape, dtype):
    h_ND = gaussian(*shape).exp().to(dtype)
    k_N = activation_kurtosis(h_ND)
    assert k_N.dtype == dtype
    assert_same(k_N, oracle(h_ND), rtol=1e-5 if dtype == torch.float32 else 1e-12)
    assert_same(activation_kurtosis_plain(h_ND), oracle(h_ND))


rows = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 12), st.integers(2, 40)),
    elements=st.floats(-1e4, 1e4, width=32),
)


@settings(max_examples=150, deadline=None)
@given(rows, st.sampled_from([np.float32, np.float64]))
def test_any_finite_rows_equal_scipy(x_ND, dtype):
    x_ND = x_ND.astype(dtype)
    x_ND[:, 0] = x_ND.max(1) + 1 + np.abs(x_ND).max(1)  # no constant row, no spread near the rounding error
    h_ND = torch.from_numpy(x_ND)
    assert_same(activation_kurtosis(h_ND), oracle(h_ND), rtol=1e-4 if dtype == np.float32 else 1e-9)


# Invariances


@settings(max_examples=60, deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(-100, 100), st.integers(0, 10_000))
def test_scale_sign_shift_and_coordinate_order_change_nothing(scale, shift, seed):
    h_ND = gaussian(6, 80, seed).double() ** 3
    order_D = torch.randperm(80, generator=torch.Generator().manual_seed(seed))
    changed_ND = (-scale * h_ND + shift)[:, order_D]
    assert_same(activation_kurtosis(changed_ND), activation_kurtosis(h_ND), rtol=1e-7)


def test_normalising_the_rows_changes_nothing():
    h_ND = with_outlier(50, 128, 3)
    assert_same(activation_kurtosis(h_ND / h_ND.norm(dim=1, keepdim=True)), activation_kurtosis(h_ND))


def test_rows_are_independent_of_their_block(monkeypatch):
    h_ND = gaussian(101, 16).exp()
    whole_N, c_D, j_K = activation_kurtosis(h_ND), kurtosis_contributions(h_ND), outlier_coordinates(h_ND)
    for block in (1, 16, 17 * 16, 100 * 16, 101 * 16):
        monkeypatch.setattr(moments, "CPU_BLOCK", block)
        assert_same(activation_kurtosis(h_ND), whole_N)
        assert_same(kurtosis_contributions(h_ND), c_D)
        assert outlier_coordinates(h_ND).equal(j_K)


def test_rotation_brings_an_outlier_back_to_three_but_keeps_lengths_and_angles():
    h_ND = with_outlier(400, 256, 17, size=40).double()
    rotated_ND = random_rotation(h_ND, seed=0)
    assert activation_kurtosis(h_ND).mean() > 80
    # One rotation gives one draw per direction, so the mean over images still wanders by a few tenths.
    assert abs(activation_kurtosis(rotated_ND).mean() - 3) < 0.8
    assert_same(rotated_ND @ rotated_ND.T, h_ND @ h_ND.T, rtol=1e-9)


def test_rotations_are_uniform_repeatable_and_differ_by_seed():
    eye_DD = torch.eye(3, dtype=torch.float64)
    q_RDD = torch.stack([random_rotation(eye_DD, seed) for seed in range(2000)])
    # Haar: every entry has mean 0 and variance 1/D. QR without the sign rule fails the first.
    assert q_RDD.mean(0).abs().max() < 0.06
    assert (q_RDD.square().mean(0) - 1 / 3).abs().max() < 0.03
    assert random_rotation(eye_DD, 7).equal(q_RDD[7]) and not q_RDD[7].equal(q_RDD[8])


# Numbers near the edges of float32


def test_small_noise_on_a_large_offset():
    h_ND = 50 + 0.01 * gaussian(500, 1024)
    assert abs(activation_kurtosis(h_ND).mean() - 3) < 0.05
    assert_same(activation_kurtosis(h_ND), oracle(h_ND))


@pytest.mark.parametrize("scale", [1e-41, 1e-30, 1e-12, 1e12, 1e30, 3e37])
def test_any_representable_scale(scale):
    h_ND = (gaussian(20, 300).double() * scale).float()
    assert_same(activation_kurtosis(h_ND), oracle(h_ND.double() / scale))
    assert_same(kurtosis_contributions(h_ND).sum(), oracle(h_ND.double() / scale).mean())


@pytest.mark.parametrize("scale", [1e-300, 1e-80, 1e80, 1e300])
def test_any_representable_scale_in_float64(scale):
    h_ND = gaussian(20, 300).double()
    assert_same(activation_kurtosis(h_ND * scale), oracle(h_ND), rtol=1e-10)


def test_one_large_row_among_ordinary_ones():
    h_ND = gaussian(10, 64)
    h_ND[4] *= 1e25
    assert_same(activation_kurtosis(h_ND), oracle(h_ND))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened_before_any_power(dtype):
    h_ND = (100 * with_outlier(30, 512, 5)).to(dtype)  # the fourth power would overflow float16
    k_N = activation_kurtosis(h_ND)
    assert k_N.dtype == torch.float32
    assert_same(k_N, oracle(h_ND.float()))


def test_input_is_left_alone_and_views_work():
    h_ND = gaussian(40, 60)
    copy_ND = h_ND.clone()
    assert_same(activation_kurtosis(h_ND.T), oracle(h_ND.T))
    assert_same(activation_kurtosis(h_ND[::2, 5:50:3]), oracle(h_ND[::2, 5:50:3]))
    assert_same(activation_kurtosis(h_ND.requires_grad_()), oracle(copy_ND))
    kurtosis_contributions(h_ND), outlier_coordinates(h_ND)
    assert h_ND.equal(copy_ND)


# Contributions and outlier coordinates


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.integers(2, 90), st.integers(0, 10_000))
def test_contributions_split_the_mean_exactly(n, d, seed):
    h_ND = gaussian(n, d, seed).double().exp()
    c_D = kurtosis_contributions(h_ND)
    z_ND = scipy.stats.zscore(h_ND.numpy(), axis=1)
    np.testing.assert_allclose(c_D, (z_ND**4).mean(0) / d, rtol=1e-10)
    assert_same(c_D.sum(), activation_kurtosis(h_ND).mean(), rtol=1e-10)


def test_outliers_are_found_in_order_and_only_where_planted():
    h_ND = gaussian(200, 512)
    h_ND[:, 362] += 25
    h_ND[:, 133] -= 30
    assert outlier_coordinates(h_ND).tolist() == [133, 362]
    assert outlier_coordinates(gaussian(200, 512)).tolist() == []
    assert outlier_coordinates(random_rotation(h_ND, 0)).tolist() == []


def test_sparse_features_have_heavy_tails_without_outlier_coordinates():
    h_ND = torch.relu(gaussian(2000, 512) - 2)
    c_D = kurtosis_contributions(h_ND)
    assert c_D.sum() > 50 and c_D.max() / c_D.sum() < 0.01
    assert outlier_coordinates(h_ND).tolist() == []


def test_three_gaussian_kurtoses_is_the_other_border():
    base_N = torch.tensor([-1.0, 1.0]).repeat(128)
    for size, found in ((5.2, []), (5.7, [0])):  # z^4 / 256 is 2.3 and 3.2
        h_ND = base_N.repeat(4, 1)
        h_ND[:, 0] = size
        assert outlier_coordinates(h_ND).tolist() == found


def test_half_of_the_images_is_the_border():
    h_ND = gaussian(10, 256)
    h_ND[:5, 9] += 40
    assert outlier_coordinates(h_ND).tolist() == [9]
    h_ND[4, 9] -= 40
    assert outlier_coordinates(h_ND).tolist() == []


# Bad input

functions = pytest.mark.parametrize(
    "function", [activation_kurtosis, kurtosis_contributions, outlier_coordinates], ids=lambda f: f.__name__
)


def refused(function, h, error, *words):
    with pytest.raises(error) as caught:
        function(h)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@functions
def test_bad_input_is_one_line(function):
    refused(function, gaussian(3, 4).numpy(), TypeError, "ndarray")
    refused(function, torch.ones(3, 4, dtype=torch.int64), TypeError, "int64")
    refused(function, gaussian(3, 4)[0], ValueError, "(4,)")
    refused(function, gaussian(3, 4)[:0], ValueError, "(0, 4)")
    for bad in (float("nan"), float("inf"), -float("inf")):
        h_ND = gaussian(6, 4)
        h_ND[2, 1] = h_ND[5, 0] = bad
        refused(function, h_ND, ValueError, "2 rows", "row 2")


@functions
@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e30, 1e-40])
def test_constant_rows_are_refused(function, value, monkeypatch):
    monkeypatch.setattr(moments, "CPU_BLOCK", 1000)
    h_ND = gaussian(50, 1000)
    h_ND[30] = value
    refused(function, h_ND, ValueError, "1 constant rows", "first row 30")
    refused(function, h_ND.double(), ValueError, "1 constant rows", "first row 30")


@functions
def test_one_coordinate_is_always_constant(function):
    refused(function, gaussian(4, 1), ValueError, "4 constant rows", "of 1 coordinates")


# GPU


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_cuda_equals_cpu(dtype, monkeypatch):
    monkeypatch.setattr(moments, "GPU_BLOCK", 2**16)
    h_ND = with_outlier(3000, 384, 7).to(dtype)
    h_ND[5] += 50
    assert_same(activation_kurtosis(h_ND.cuda()), activation_kurtosis(h_ND))
    assert_same(kurtosis_contributions(h_ND.cuda()), kurtosis_contributions(h_ND).cpu())
    assert outlier_coordinates(h_ND.cuda()).tolist() == [7]
    assert_same(random_rotation(h_ND.cuda(), 3), random_rotation(h_ND, 3), rtol=1e-3)
