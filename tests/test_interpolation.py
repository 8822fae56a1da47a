"""Weight-space interpolation: its ends, a hand-worked middle, and what it refuses."""

import pytest
import torch
from torch import nn

from featurelens.interpolation import interpolate


def _state(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).state_dict()


def test_the_ends_are_the_two_networks_bit_by_bit():
    start, end = _state(0), _state(1)
    for alpha, expected in ((0.0, start), (1.0, end)):
        mixed = interpolate(start, end, alpha)
        assert all(torch.equal(mixed[key], expected[key]) for key in expected if "num_batches" not in key)


def test_between_and_beyond_the_ends_lie_on_the_line():
    start, end = {"w": torch.tensor([0.0, 4.0])}, {"w": torch.tensor([2.0, 0.0])}
    assert interpolate(start, end, 0.25)["w"].tolist() == [0.5, 3.0]
    assert interpolate(start, end, 1.5)["w"].tolist() == [3.0, -2.0]


def test_logits_of_a_linear_network_are_interpolated_too():
    x, start, end = torch.randn(5, 3), nn.Linear(3, 2), nn.Linear(3, 2)
    middle = nn.Linear(3, 2)
    middle.load_state_dict(interpolate(start.state_dict(), end.state_dict(), 0.3))
    torch.testing.assert_close(middle(x), 0.7 * start(x) + 0.3 * end(x))


def test_counters_come_from_the_end():
    start, end = _state(0), _state(1)
    end["1.num_batches_tracked"] += 7
    assert interpolate(start, end, 0.5)["1.num_batches_tracked"] == 7


def test_networks_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"1 in one only, first 'b'"):
        interpolate({"a": torch.ones(2)}, {"a": torch.ones(2), "b": torch.ones(1)}, 0.5)
    with pytest.raises(ValueError, match=r"a: expected tensors of one shape, found \(2,\) and \(3,\)"):
        interpolate({"a": torch.ones(2)}, {"a": torch.ones(3)}, 0.5)
    with pytest.raises(ValueError, match="alpha: expected a finite number, found nan"):
        interpolate({}, {}, float("nan"))
