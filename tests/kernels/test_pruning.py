"""The pruning curve against one truncated head per k, on every path, with ties and groups."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from featurelens import heads, kernels
from featurelens.kernels import Directions, pruning


def gaussian(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def problem(n=40, width=9, classes=6, seed=0):
    h_ND, w_CD = gaussian(n, width, seed), gaussian(classes, width, seed + 1)
    noise = gaussian(n, classes, seed + 2)
    y_N = (h_ND @ w_CD.T + 2 * noise).argmax(1)
    order_K = torch.randperm(min(width, classes), generator=torch.Generator().manual_seed(seed))
    return h_ND, w_CD, y_N, order_K, gaussian(1, classes, seed + 3)[0]


def brute_force(h_ND, d, y_N, order_K, bias_C=None, group_C=None, top=1):
    """Numpy, one image, one k and one class at a time; no line shared with ours."""
    u, s, v, h = (part.double().numpy() for part in (*d, h_ND))
    group = np.arange(len(u)) if group_C is None else group_C.numpy()
    bias = np.zeros(len(u)) if bias_C is None else bias_C.double().numpy()
    longest = max(np.linalg.norm(row) for row in u * s)
    curve = []
    for k in range(len(order_K) + 1):
        kept, right = order_K[:k].numpy(), 0
        w = sum((s[j] * np.outer(u[:, j], v[:, j]) for j in kept), np.zeros((len(u), len(v))))
        for x, y in zip(h, y_N.tolist(), strict=True):
            score = w @ x + bias
            equal = max(1e-11 * (np.linalg.norm(x) * longest + abs(bias).max()), 1e-300)
            own = max(score[group == y])
            above = [
                score[c] > own - equal if group[c] < y else score[c] > own + equal for c in range(len(u))
            ]
            right += sum(np.array(above)[(group >= 0) & (group != y)]) < top
        curve.append(int(right))
    return torch.tensor(curve)


def on_gpu_path(h_ND, d, y_N, orders_RK, bias_C=None, group_C=None, tops=(1,)):
    """The path for CUDA tensors, which runs on any device."""
    out = torch.zeros(len(orders_RK), len(tops), orders_RK.shape[1] + 1, dtype=torch.int64)
    pruning._count_on_gpu(
        pruning._problem(h_ND, d, y_N, orders_RK, bias_C, group_C), torch.as_tensor(tops), out
    )
    return out


both_paths = pytest.mark.parametrize("path", [kernels.pruning_curves, on_gpu_path], ids=["cpu", "gpu"])
SIZES = [(40, 9, 6), (40, 5, 8), (3, 4, 2), (1, 7, 7), (700, 12, 5)]


@both_paths
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("biased", [False, True])
def test_every_k_is_brute_force(path, size, biased):
    h_ND, w_CD, y_N, order_K, bias_C = problem(*size)
    bias_C, d = bias_C if biased else None, kernels.directions(w_CD)
    expected = brute_force(h_ND, d, y_N, order_K, bias_C)
    assert torch.equal(path(h_ND, d, y_N, order_K[None], bias_C)[0, 0], expected)
    plain = kernels.pruning_curve_plain(h_ND, d, y_N, order_K, 0.0 if bias_C is None else bias_C)
    assert torch.equal(plain, expected)


@pytest.mark.parametrize("biased", [False, True])
def test_decisions_are_those_that_the_whole_head_is_counted_by(biased):
    h_ND, w_CD, _, order_K, bias_C = problem(60, 9, 6)
    twice_CD, bias_C = torch.cat([w_CD, w_CD]), torch.cat([bias_C, bias_C]) if biased else None
    d = kernels.directions(twice_CD)
    y_N = kernels.decisions(h_ND, d, bias_C)
    scores_NC = h_ND.double() @ w_CD.double().T + (0 if bias_C is None else bias_C[: len(w_CD)].double())
    assert torch.equal(y_N, scores_NC.argmax(1))  # never the second of two equal classes
    order_K = torch.arange(len(d.s_K))
    assert kernels.pruning_curve(h_ND, d, y_N, order_K, bias_C)[-1] == len(h_ND)


# An image at right angles to every row of the head: all its coefficients are rounding.
@example(n=8, width=3, classes=3, seed=131566, biased=False, reduced=True)
@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 12),
    st.integers(1, 6),
    st.integers(2, 6),
    st.integers(0, 10**6),
    st.booleans(),
    st.booleans(),
)
def test_every_k_is_brute_force_on_random_small_cases_full_of_ties(n, width, classes, seed, biased, reduced):
    rng = np.random.default_rng(seed)
    h_ND = torch.from_numpy(rng.integers(-2, 3, (n, width))).double()
    w_CD = torch.from_numpy(rng.integers(-1, 2, (classes, width))).double()
    w_CD[rng.integers(classes)] = w_CD[0] + torch.eye(width)[0]
    w_CD[-1] = w_CD[0] if classes > 2 else w_CD[-1]
    if (w_CD == w_CD[0]).all():
        w_CD[0, 0] += 1
    y_N = torch.from_numpy(rng.integers(0, classes, n))
    d = kernels.reduced_rank(w_CD, h_ND + 0.5) if reduced else kernels.directions(w_CD)
    orders_RK = torch.from_numpy(np.stack([rng.permutation(len(d.s_K)) for _ in range(2)]))
    bias_C = torch.from_numpy(rng.integers(-1, 2, classes)).double() if biased else None
    group_C = torch.from_numpy(np.where(np.arange(classes) == classes - 1, 0, np.arange(classes)))
    for groups in (None, group_C):
        labels = y_N if groups is None else y_N % (classes - 1)
        found = kernels.pruning_curves(h_ND, d, labels, orders_RK, bias_C, groups, tops=(1, 2))
        assert torch.equal(found, on_gpu_path(h_ND, d, labels, orders_RK, bias_C, groups, tops=(1, 2)))
        for order_K, curves in zip(orders_RK, found, strict=True):
            assert torch.equal(curves[0], brute_force(h_ND, d, labels, order_K, bias_C, groups))
    assert (found[:, 0, -1] == found[0, 0, -1]).all(), "all directions are the head, in any order"
    assert torch.equal(
        kernels.pruning_curves(h_ND, d, y_N, orders_RK, bias_C)[0, 0, -1], _exact(h_ND, w_CD, y_N, bias_C)
    )


def _exact(h_ND, w_CD, y_N, bias_C):
    """The unpruned head in integer arithmetic: equal scores are exactly equal, and argmax takes the first."""
    bias = 0 if bias_C is None else bias_C.long()
    return ((h_ND.long() @ w_CD.long().T + bias).argmax(1) == y_N).sum()


@both_paths
@pytest.mark.parametrize("size", [(2000, 64, 10), (2000, 20, 100)], ids=str)
def test_the_last_point_is_the_accuracy_of_the_head(path, size):
    h_ND, w_CD, y_N, order_K, bias_C = problem(*size)
    for bias in (None, bias_C):
        correct = path(h_ND, kernels.directions(w_CD), y_N, order_K[None], bias)[0, 0, -1]
        assert correct / len(y_N) == pytest.approx(heads.accuracy(h_ND, w_CD, y_N, bias), abs=1e-12)


@both_paths
def test_nothing_kept_gives_every_image_the_first_class_or_the_largest_bias(path):
    h_ND, w_CD, y_N, order_K, bias_C = problem(200)
    d = kernels.directions(w_CD)
    assert path(h_ND, d, y_N, order_K[None])[0, 0, 0] == (y_N == 0).sum()
    assert path(h_ND, d, y_N, order_K[None], bias_C)[0, 0, 0] == (y_N == bias_C.argmax()).sum()


@both_paths
def test_of_classes_with_equal_rows_the_first_wins_at_every_k(path):
    h_ND, w_CD, _, order_K, _ = problem(100)
    w_CD[4] = w_CD[1]
    d = kernels.directions(w_CD)
    y_N = torch.full((100,), 4)
    assert path(h_ND, d, y_N, order_K[None])[0, 0].sum() == 0
    as_first = path(h_ND, d, torch.ones_like(y_N), order_K[None])[0, 0]
    alone = w_CD[:4]
    assert as_first[-1] == ((h_ND @ torch.cat([alone, w_CD[5:]]).T).argmax(1) == 1).sum()


@both_paths
def test_groups_take_classes_out_and_let_several_stand_for_one_label(path):
    h_ND, w_CD, _, order_K, bias_C = problem(150, 9, 6)
    group_C, y_N = torch.tensor([1, -1, 0, 1, 2, -1]), torch.arange(150) % 3
    d = kernels.directions(w_CD)
    found = path(h_ND, d, y_N, order_K[None], bias_C, group_C, tops=(1, 2))[0]
    assert torch.equal(found[0], brute_force(h_ND, d, y_N, order_K, bias_C, group_C))
    score_NC = (h_ND @ w_CD.T + bias_C).masked_fill(group_C < 0, -torch.inf)
    assert found[0, -1] == (group_C[score_NC.argmax(1)] == y_N).sum()


@both_paths
def test_top_five_is_sklearns(path):
    from sklearn.metrics import top_k_accuracy_score

    h_ND, w_CD, y_N, order_K, _ = problem(300, 20, 12)
    found = path(h_ND, kernels.directions(w_CD), y_N, order_K[None], tops=(1, 5))[0, :, -1]
    scores = (h_ND @ w_CD.T).numpy()
    for top, correct in zip((1, 5), found, strict=True):
        expected = top_k_accuracy_score(y_N, scores, k=top, normalize=False, labels=range(12))
        assert correct == expected


def test_orders_share_a_call_and_do_not_mix():
    h_ND, w_CD, y_N, order_K, bias_C = problem(60)
    d, orders_RK = kernels.directions(w_CD), torch.stack([order_K, order_K.flip(0), order_K.sort().values])
    together = kernels.pruning_curves(h_ND, d, y_N, orders_RK, bias_C)[:, 0]
    apart = [kernels.pruning_curve(h_ND, d, y_N, order, bias_C) for order in orders_RK]
    assert torch.equal(together, torch.stack(apart))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_blocks_and_threads_change_nothing(monkeypatch, threads):
    h_ND, w_CD, y_N, order_K, _ = problem(100)
    d = kernels.directions(w_CD)
    whole = kernels.pruning_curve(h_ND, d, y_N, order_K)
    before = torch.get_num_threads()
    monkeypatch.setattr(pruning, "CPU_ROWS", 7)
    monkeypatch.setattr(pruning, "GPU_SCORES", 50)
    try:
        torch.set_num_threads(threads)
        assert torch.equal(kernels.pruning_curve(h_ND, d, y_N, order_K), whole)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(on_gpu_path(h_ND, d, y_N, order_K[None])[0, 0], whole)


def test_the_head_may_be_given_in_factors_that_are_not_orthogonal():
    h_ND, w_CD, y_N, _, _ = problem(200, 9, 6)
    d = kernels.reduced_rank(w_CD, h_ND)
    order_K = torch.arange(6)
    assert torch.equal(kernels.pruning_curve(h_ND, d, y_N, order_K), brute_force(h_ND, d, y_N, order_K))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_cuda_counts_what_the_cpu_counts_whatever_tf32_says():
    h_ND, w_CD, y_N, order_K, bias_C = problem(3000, 128, 100)
    d = kernels.directions(w_CD)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")
        found = kernels.pruning_curve(h_ND.cuda(), d, y_N, order_K, bias_C)
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal(found, kernels.pruning_curve(h_ND, d, y_N, order_K, bias_C))


# Bad input

H, W, Y, ORDER, BIAS = problem()
D = kernels.directions(W)
CUT = Directions(D.u_CK, D.s_K[:3], D.v_DK)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((H * torch.nan, D, Y, ORDER), ValueError, "features: expected finite numbers, found NaN"),
        ((H[:, :8], D, Y, ORDER), ValueError, "features: expected 9 coordinates, found 8"),
        ((H, CUT, Y, ORDER), ValueError, "directions: expected C x K, K and D x K, found u"),
        ((H, D, Y[:-1], ORDER), ValueError, r"labels: expected shape \(40,\), found \(39,\)"),
        ((H, D, Y.float(), ORDER), TypeError, "labels: expected an integer tensor, found torch.float32"),
        ((H, D, Y + 1, ORDER), ValueError, r"labels: expected 0..5, found 1..6"),
        ((H, D, Y, ORDER[:-1]), ValueError, r"order: expected shape \(1, 6\), found \(1, 5\)"),
        ((H, D, Y, ORDER.clamp(max=4)), ValueError, "order: expected a permutation of 0..5, found 1 missing"),
        ((H, D, Y, ORDER + 1), ValueError, "order: expected a permutation of 0..5, found 1 missing"),
        ((H, D, Y, ORDER, BIAS[:-1]), ValueError, r"bias: expected 6 finite numbers, found \(5,\)"),
        ((H, D, Y, ORDER, BIAS / 0), ValueError, "bias: expected 6 finite numbers"),
    ],
)
def test_bad_input_is_one_line(arguments, error, message):
    with pytest.raises(error, match=message) as caught:
        kernels.pruning_curve(*arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("group_C", [[0, 1, 2, 4, 4, 4], [-2, 0, 1, 2, 3, 4], [-1] * 6])
def test_bad_groups_are_one_line(group_C):
    with pytest.raises(ValueError, match="expected") as caught:
        kernels.pruning_curves(H, D, Y.clamp(max=1), ORDER[None], group_C=torch.tensor(group_C))
    assert "\n" not in str(caught.value)
