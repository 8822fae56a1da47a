"""The modality gap against its formula in numpy, at its ends, and what it refuses."""

import numpy as np
import pytest
import torch

from featurelens import kernels


def test_equals_the_formula():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(50, 7)) + 1, random.normal(size=(30, 7)) - 2
    means = [(m / np.linalg.norm(m, axis=1, keepdims=True)).mean(0) for m in (x, y)]
    found = kernels.modality_gap(torch.tensor(x), torch.tensor(y))
    assert found == pytest.approx(np.linalg.norm(means[0] - means[1]), abs=1e-12)
    np.testing.assert_allclose(kernels.gap_vector(torch.tensor(x), torch.tensor(y)), means[0] - means[1])


def test_its_ends_and_its_invariances():
    x = torch.randn(20, 6, generator=torch.manual_seed(0), dtype=torch.float64)
    point = torch.ones(4, 6, dtype=torch.float64)
    assert kernels.modality_gap(x, x) == 0
    assert kernels.modality_gap(point, -point) == pytest.approx(2)
    y = x.roll(1, 1)
    gap = kernels.modality_gap(x, y)
    assert kernels.modality_gap(y, x) == pytest.approx(gap)
    assert kernels.modality_gap(3 * x, y * torch.arange(1.0, 21)[:, None]) == pytest.approx(gap)
    turn = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64)).Q
    assert kernels.modality_gap(x @ turn, y @ turn) == pytest.approx(gap)


def test_bad_input_is_one_line():
    x = torch.ones(3, 4)
    with pytest.raises(ValueError, match="one width, found 4 and 5"):
        kernels.modality_gap(x, torch.ones(3, 5))
    with pytest.raises(ValueError, match="non-zero rows, found 1 of zeros"):
        kernels.modality_gap(x, torch.tensor([[0.0] * 4, [1.0] * 4]))
    with pytest.raises(ValueError, match="texts: expected finite numbers"):
        kernels.modality_gap(x, x * float("nan"))
