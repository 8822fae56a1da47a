"""Average precision against scikit-learn, pair by pair, on both paths: the walk and plain torch."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score

from featurelens.kernels import precision_device, precision_walk
from featurelens.kernels.precision import average_precision, average_precision_plain, average_precision_signed
from featurelens.kernels.precision_chance import average_precision_by_chance, average_precision_resampled
from featurelens.kernels.precision_entries import entries

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(scope="module", params=["walk", "device"], autouse=True)
def path(request):
    """Send CPU tensors through the device path too, so that it is tested where there is no GPU."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "device":
            patch.setattr(precision_walk, "signed", precision_device.signed)
        yield request.param


once = pytest.mark.parametrize("path", ["walk"], indirect=True)  # tests that choose the path themselves


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def example(n: int = 300, k: int = 3, t: int = 6, seed: int = 0, levels: float | None = None):
    """Scores (rounded to few levels if asked) and labels of concepts from rare to frequent."""
    scores_NK = torch.randn(n, k, generator=generator(seed))
    if levels is not None:
        scores_NK = (scores_NK * levels).round()
    frequency_T = torch.linspace(0.02, 0.9, t)
    return scores_NK, torch.rand(n, t, generator=generator(seed + 1)) < frequency_T


def one_pair(score_N: torch.Tensor, present_N: torch.Tensor) -> float:
    """scikit-learn, which refuses infinities, so it gets the place of each score among the distinct ones."""
    if present_N.all() or not present_N.any():
        return float("nan")
    place_N = score_N.unique(return_inverse=True)[1]
    return average_precision_score(present_N.cpu().numpy(), place_N.cpu().numpy())


def oracle(scores_NK, present_NT, considered_NT=None, weight_N=None) -> torch.Tensor:
    """Subsets by leaving images out, weights by repeating them, the opposite direction by the other sign."""
    considered_NT = torch.ones_like(present_NT) if considered_NT is None else considered_NT
    weight_N = torch.ones(len(scores_NK), dtype=torch.int64) if weight_N is None else weight_N
    ap_2KT = torch.empty(2, scores_NK.shape[1], present_NT.shape[1], dtype=torch.float64)
    for t, (present_N, considered_N) in enumerate(zip(present_NT.T, considered_NT.T, strict=True)):
        image_I = considered_N.nonzero().flatten()
        image_I = image_I.repeat_interleave(weight_N[image_I])
        for k, score_N in enumerate(scores_NK.T):
            ap_2KT[0, k, t] = one_pair(score_N[image_I], present_N[image_I].bool())
            ap_2KT[1, k, t] = one_pair(-score_N[image_I], present_N[image_I].bool())
    return ap_2KT


def assert_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.dtype == torch.float64
    torch.testing.assert_close(found.cpu(), expected.cpu(), rtol=0, atol=1e-12, equal_nan=True)


def exact(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


# Closed forms


def test_a_ranking_counted_by_hand():
    # From the top: yes, no, yes, (yes, no tied), no. Precision at the positives: 1/1, 2/3, 3/5.
    # From the bottom: no, (no, yes tied), yes, no, yes. Precision at the positives: 1/3, 2/4, 3/6.
    scores_N1 = torch.tensor([[5.0], [4.0], [3.0], [2.0], [2.0], [1.0]])
    present_N1 = torch.tensor([[1], [0], [1], [1], [0], [0]], dtype=torch.uint8)
    ap_211 = average_precision_signed(scores_N1, present_N1)
    assert_same(ap_211.flatten(), exact((1 + 2 / 3 + 3 / 5) / 3, (1 / 3 + 2 / 4 + 3 / 6) / 3))
    assert_same(average_precision_plain(scores_N1, present_N1), ap_211[0])


@pytest.mark.parametrize("n", [2, 17, 60_000])
def test_equal_scores_give_the_prevalence(n):
    present_NT = torch.arange(n)[:, None] < torch.tensor([1, (2 * n) // 5 + 1, n - 1])
    prevalence_T = present_NT.double().mean(0)
    assert_same(average_precision_signed(torch.full((n, 1), 0.3), present_NT), prevalence_T.expand(2, 1, 3))
    assert_same(average_precision_plain(torch.full((n, 1), 0.3), present_NT), prevalence_T[None])


def test_perfect_and_worst_ranking():
    n, m = 50, 20
    scores_NK = torch.arange(n).double()[:, None]
    present_NT = torch.arange(n)[:, None] >= n - m
    worst = sum(j / (n - m + j) for j in range(1, m + 1)) / m
    assert_same(average_precision_signed(scores_NK, present_NT).flatten(), exact(1, worst))


def test_concepts_without_positives_or_negatives_are_nan_and_leave_the_others_alone():
    scores_NK, present_NT = example()
    expected_2KT = oracle(scores_NK, present_NT)
    present_NT[:, 1], present_NT[:, 4] = False, True
    expected_2KT[:, :, [1, 4]] = torch.nan
    assert_same(average_precision_signed(scores_NK, present_NT), expected_2KT)
    assert_same(average_precision_plain(scores_NK, present_NT), expected_2KT[0])


@pytest.mark.parametrize("present", [False, True])
def test_no_label_at_all_and_one_image(present):
    for n in (1, 5):
        ap_KT = average_precision(torch.randn(n, 2), torch.full((n, 3), present))
        assert ap_KT.shape == (2, 3) and ap_KT.isnan().all()
        ap_KT = average_precision(torch.randn(n, 2), torch.full((n, 3), present), torch.zeros(n, 3).bool())
        assert ap_KT.shape == (2, 3) and ap_KT.isnan().all()


# scikit-learn


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("levels", [None, 0.5, 3])
@pytest.mark.parametrize("n", [2, 65, 5000])
def test_equals_scikit_learn(n, levels, dtype):
    scores_NK, present_NT = example(n, 2, 6, levels=levels)
    expected_2KT = oracle(scores_NK, present_NT)
    assert_same(average_precision_signed(scores_NK.to(dtype), present_NT), expected_2KT)
    assert_same(average_precision(scores_NK.to(dtype), present_NT.to(torch.uint8)), expected_2KT[0])
    assert_same(average_precision_plain(scores_NK.to(dtype), present_NT), expected_2KT[0])


@st.composite
def tied_cases(draw):
    """Few distinct scores, infinite ones among them; any labels, images considered and weights."""
    n, k, t = draw(st.integers(1, 30)), draw(st.integers(1, 2)), draw(st.integers(1, 3))
    level = st.sampled_from([-np.inf, -2.0, -0.0, 0.0, 0.5, 3.0, np.inf])
    scores_NK = draw(hnp.arrays(draw(st.sampled_from([np.float32, np.float64])), (n, k), elements=level))
    present_NT, considered_NT = (draw(hnp.arrays(np.bool_, (n, t))) for _ in range(2))
    weight_N = draw(hnp.arrays(np.int32, n, elements=st.integers(0, 3)))
    return [torch.from_numpy(x) for x in (scores_NK, present_NT, considered_NT, weight_N)]


@settings(max_examples=150, deadline=None)
@given(tied_cases(), st.booleans(), st.booleans())
def test_any_ties_subsets_and_weights_equal_scikit_learn(case, subset, weighted):
    scores_NK, present_NT, considered_NT, weight_N = case
    considered_NT, weight_N = considered_NT if subset else None, weight_N if weighted else None
    found_2KT = average_precision_signed(scores_NK, present_NT, considered_NT, weight_N=weight_N)
    assert_same(found_2KT, oracle(scores_NK, present_NT, considered_NT, weight_N))
    if not subset and not weighted:
        assert_same(average_precision_plain(scores_NK, present_NT), found_2KT[0])


def test_infinite_scores_are_ranks():
    scores_NK, present_NT = example(200, 2, 4)
    scores_NK[::7], scores_NK[3::11] = torch.inf, -torch.inf
    assert_same(average_precision_signed(scores_NK, present_NT), oracle(scores_NK, present_NT))


@pytest.mark.parametrize("levels", [None, 1])
def test_images_outside_a_concepts_choice_do_not_exist(levels):
    scores_NK, present_NT = example(2000, 2, 5, levels=levels)
    # As many negatives as positives, another set for each concept, and not all positives either.
    chance_T = present_NT.float().mean(0)
    chance_NT = torch.where(present_NT, 0.9, 0.9 * chance_T / (1 - chance_T))
    considered_NT = torch.rand(present_NT.shape, generator=generator(9)) < chance_NT
    expected_2KT = oracle(scores_NK, present_NT, considered_NT)
    assert_same(average_precision_signed(scores_NK, present_NT, considered_NT), expected_2KT)
    kept_NT = present_NT & considered_NT
    assert_same(average_precision(scores_NK, kept_NT, considered_NT.to(torch.uint8)), expected_2KT[0])
    everywhere_KT = average_precision(scores_NK, present_NT, torch.ones_like(present_NT))
    assert_same(everywhere_KT, average_precision(scores_NK, present_NT))


@pytest.mark.parametrize("levels", [None, 1])
def test_weights_are_repeated_rows(levels):
    scores_NK, present_NT = example(400, 3, 4, levels=levels)
    weight_N = torch.randint(0, 4, (400,), generator=generator(5))
    repeated_M = torch.arange(400).repeat_interleave(weight_N)
    expected_2KT = average_precision_signed(scores_NK[repeated_M], present_NT[repeated_M])
    assert_same(average_precision_signed(scores_NK, present_NT, weight_N=weight_N), expected_2KT)
    assert_same(average_precision_signed(scores_NK, present_NT, weight_N=5 * weight_N), expected_2KT)


# Invariances


def test_the_opposite_direction_is_the_negated_score():
    scores_NK, present_NT = example(500, 4, 5, levels=2)
    ap_2KT = average_precision_signed(scores_NK, present_NT)
    assert_same(ap_2KT.flip(0), average_precision_signed(-scores_NK, present_NT))
    assert not torch.allclose(ap_2KT[0], ap_2KT[1])


def test_working_memory_and_threads_change_no_bit():
    scores_NK, present_NT = example(400, 7, 5, levels=4)
    considered_NT = torch.rand(present_NT.shape, generator=generator(3)) < 0.7
    threads = torch.get_num_threads()
    for considered in (None, considered_NT):
        whole_2KT = average_precision_signed(scores_NK, present_NT, considered)
        try:
            for max_bytes, n_threads in ((1, 1), (4 * 400 * 3, 3), (10**6, 2)):
                torch.set_num_threads(n_threads)
                found_2KT = average_precision_signed(scores_NK, present_NT, considered, max_bytes=max_bytes)
                assert found_2KT.equal(whole_2KT)
        finally:
            torch.set_num_threads(threads)


@pytest.mark.parametrize("levels", [None, 1])
def test_order_of_images_directions_and_concepts_does_not_matter(levels):
    scores_NK, present_NT = example(300, 4, 6, levels=levels)
    ap_2KT = average_precision_signed(scores_NK, present_NT)
    image_N, direction_K, concept_T = (torch.randperm(n, generator=generator(n)) for n in (300, 4, 6))
    shuffled_2KT = average_precision_signed(
        scores_NK[image_N][:, direction_K], present_NT[image_N][:, concept_T]
    )
    assert_same(shuffled_2KT, ap_2KT[:, direction_K][:, :, concept_T])


def test_duplicate_directions_and_rising_transforms_give_the_same():
    scores_NK, present_NT = example(300, 2, 4)
    three_NK = torch.cat([scores_NK, 8 * scores_NK, scores_NK], 1)
    ap_KT = average_precision(three_NK, present_NT)
    assert ap_KT[:2].equal(ap_KT[4:]) and ap_KT[:2].equal(ap_KT[2:4])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_scores_are_compared_as_they_are(dtype):
    scores_NK, present_NT = example(500, 2, 4)
    scores_NK = scores_NK.to(dtype)
    assert_same(average_precision(scores_NK, present_NT), oracle(scores_NK.double(), present_NT)[0])


def test_float64_scores_are_not_rounded():
    scores_NK = (1 + torch.arange(40).double() * 2**-50)[:, None]
    present_NT = torch.rand(40, 3, generator=generator()) < 0.5
    assert_same(average_precision_signed(scores_NK, present_NT), oracle(scores_NK, present_NT))


def test_input_is_left_alone_and_views_work():
    scores_NK, present_NT = example(120, 6, 6)
    copies = scores_NK.clone(), present_NT.clone()
    expected_KT = oracle(scores_NK[::2, ::3], present_NT[::2, 1::2])[0]
    assert_same(average_precision(scores_NK[::2, ::3], present_NT[::2, 1::2]), expected_KT)
    average_precision(scores_NK.T.contiguous().T, present_NT), average_precision(scores_NK[:, :1], present_NT)
    assert not average_precision(scores_NK.clone().requires_grad_(), present_NT).requires_grad
    assert scores_NK.equal(copies[0]) and present_NT.equal(copies[1])


def test_more_concepts_than_a_short_integer_holds():
    present_NT = torch.zeros(6, 40_000, dtype=torch.bool)
    present_NT[2, 39_999] = present_NT[1, 32_768] = present_NT[5, 7_231] = True
    ap_T = average_precision(torch.arange(6.0)[:, None], present_NT)[0]
    assert ap_T.isnan().sum() == 39_997
    assert_same(ap_T[[39_999, 32_768, 7_231]], exact(1 / 4, 1 / 5, 1))


@once
def test_both_paths_agree():
    scores_NK, present_NT = example(3000, 3, 8, levels=50)
    weight_N = torch.arange(3000) % 3
    considered_NT = torch.rand(present_NT.shape, generator=generator(3)) < 0.5
    for considered in (None, considered_NT):
        listed = entries(3000, present_NT, considered, weight_N, scores_NK.device)
        walked_2KT = average_precision_signed(scores_NK, present_NT, considered, weight_N=weight_N)
        assert_same(precision_device.signed(scores_NK, listed, 10**9), walked_2KT)


# Chance and resampling


def test_chance_is_the_best_of_all_directions_on_dealt_labels():
    scores_NK, present_NT = example(60, 3, 4, levels=2)
    considered_NT = torch.rand(present_NT.shape, generator=generator(3)) < 0.8
    random = generator(11)
    for considered in (None, considered_NT):
        found_RT = average_precision_by_chance(scores_NK, present_NT, considered, permutations=3, seed=11)
        random = generator(11)
        dealt_RN = [torch.randperm(60, generator=random) for _ in range(3)]
        expected_RT = [oracle(scores_NK[i], present_NT, considered).amax((0, 1)) for i in dealt_RN]
        assert_same(found_RT, torch.stack(expected_RT))


def test_labels_without_meaning_exceed_chance_as_rarely_as_they_should_and_a_real_one_does():
    scores_NK = torch.randn(200, 20, generator=generator(1))
    present_NT = torch.rand(200, 60, generator=generator(2)) < 0.1
    present_NT[:, 0] = scores_NK[:, 7] < -1
    best_T = average_precision_signed(scores_NK, present_NT).amax((0, 1))
    chance_RT = average_precision_by_chance(scores_NK, present_NT, permutations=19, seed=0)
    assert chance_RT.shape == (19, 60)
    beyond_T = best_T > chance_RT.amax(0)
    assert best_T[0] == 1 and beyond_T[0]
    assert beyond_T[1:].sum() <= 8  # 59 at 1 in 20: three, and more than eight once in 300 seeds


def test_resampling_keeps_the_direction_that_is_best_on_all_images():
    scores_NK, present_NT = example(80, 4, 5, levels=3)
    considered_NT = torch.rand(present_NT.shape, generator=generator(3)) < 0.9
    for considered in (None, considered_NT):
        found_RT = average_precision_resampled(scores_NK, present_NT, considered, resamples=4, seed=2)
        best_T = oracle(scores_NK, present_NT, considered).flatten(0, 1).argmax(0)
        random = generator(2)
        for found_T in found_RT:
            weight_N = torch.randint(80, (80,), generator=random).bincount(minlength=80)
            expected_2KT = oracle(scores_NK, present_NT, considered, weight_N)
            assert_same(found_T, expected_2KT.flatten(0, 1).gather(0, best_T[None])[0])


def test_resampled_interval_holds_the_value_and_shrinks_with_more_images():
    width = []
    for n in (200, 3200):
        present_NT = torch.arange(n)[:, None] % 4 == 0
        scores_NK = torch.randn(n, 1, generator=generator(0)) + 1.5 * present_NT
        ap_RT = average_precision_resampled(scores_NK, present_NT, resamples=60, seed=0)
        low, high = ap_RT.quantile(torch.tensor([0.025, 0.975]).double())
        assert low < average_precision(scores_NK, present_NT)[0, 0] < high
        width.append(high - low)
    assert 2.5 < width[0] / width[1] < 6  # sixteen times the images: a quarter of the width


def test_undefined_concepts_stay_nan_in_both():
    scores_NK, present_NT = example(400, 2, 3)
    present_NT[:, 1] = False
    for found_RT in (
        average_precision_by_chance(scores_NK, present_NT, permutations=2, seed=0),
        average_precision_resampled(scores_NK, present_NT, resamples=2, seed=0),
    ):
        assert found_RT[:, 1].isnan().all() and not found_RT[:, [0, 2]].isnan().any()


# Bad input


def refused(error, words, function, *args, **options):
    with pytest.raises(error) as caught:
        function(*args, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


functions = pytest.mark.parametrize(
    ("function", "options"),
    [
        (average_precision, {}),
        (average_precision_signed, {}),
        (average_precision_by_chance, {"permutations": 1, "seed": 0}),
        (average_precision_resampled, {"resamples": 1, "seed": 0}),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)


@functions
def test_bad_input_is_one_line(function, options):
    scores_NK, present_NT = example(10, 3, 4)
    nan_NK = scores_NK.clone()
    nan_NK[3, 1] = nan_NK[5, 1] = nan_NK[0, 2] = torch.nan
    two_NT = present_NT.to(torch.uint8) * 255
    for error, words, args in (
        (TypeError, ["scores", "ndarray"], (scores_NK.numpy(), present_NT)),
        (TypeError, ["scores", "int64"], (scores_NK.long(), present_NT)),
        (ValueError, ["scores", "(10,)"], (scores_NK[:, 0], present_NT)),
        (ValueError, ["scores", "(10, 0)"], (scores_NK[:, :0], present_NT)),
        (ValueError, ["scores", "(0, 3)"], (scores_NK[:0], present_NT[:0])),
        (ValueError, ["scores", "NaN in 2 directions", "first direction 1"], (nan_NK, present_NT)),
        (TypeError, ["present", "ndarray"], (scores_NK, present_NT.numpy())),
        (TypeError, ["present", "float32"], (scores_NK, present_NT.float())),
        (ValueError, ["present", "10 images", "(9, 4)"], (scores_NK, present_NT[:9])),
        (ValueError, ["present", "(10,)"], (scores_NK, present_NT[:, 0])),
        (ValueError, ["present", "(10, 0)"], (scores_NK, present_NT[:, :0])),
        (ValueError, ["present", "0 and 1", "255"], (scores_NK, two_NT)),
        (TypeError, ["considered", "list"], (scores_NK, present_NT, [1])),
        (ValueError, ["considered", "(10, 4)", "(10, 2)"], (scores_NK, present_NT, present_NT[:, :2])),
        (ValueError, ["considered", "0 and 1", "255"], (scores_NK, present_NT, two_NT)),
    ):
        refused(error, words, function, *args, **options)


def test_bad_weights_and_counts_are_one_line():
    scores_NK, present_NT = example(10, 3, 4)
    for error, words, weight_N in (
        (TypeError, ["weights", "float32"], torch.ones(10)),
        (TypeError, ["weights", "list"], [1] * 10),
        (ValueError, ["weights", "10 images", "(9,)"], torch.ones(9).long()),
        (ValueError, ["weights", "-2"], torch.arange(-2, 8)),
    ):
        refused(error, words, average_precision, scores_NK, present_NT, weight_N=weight_N)
    for name, function in (
        ("permutations", average_precision_by_chance),
        ("resamples", average_precision_resampled),
    ):
        for count in (0, -1):
            refused(ValueError, [name, str(count)], function, scores_NK, present_NT, **{name: count}, seed=0)


@once
def test_numba_is_imported_on_first_use():
    code = "import sys; from featurelens.kernels import precision_chance; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# GPU


@needs_cuda
@once
@pytest.mark.parametrize("levels", [None, 4])
def test_cuda_equals_cpu_bit_by_bit_in_repeats_and_in_bounded_memory(levels):
    scores_NK, present_NT = example(20_000, 40, 30, levels=levels)
    considered_NT = torch.rand(present_NT.shape, generator=generator(3)) < 0.3
    weight_N = torch.randint(0, 3, (20_000,), generator=generator(4))
    scores_cuda_NK = scores_NK.cuda()
    for considered, weight in itertools.product((None, considered_NT), (None, weight_N)):
        cpu_2KT = average_precision_signed(scores_NK, present_NT, considered, weight_N=weight)
        found = []
        for max_bytes in (2**27, 2**28):
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            found.append(
                average_precision_signed(
                    scores_cuda_NK, present_NT, considered, weight_N=weight, max_bytes=max_bytes
                )
            )
            assert torch.cuda.max_memory_allocated() - before < max_bytes + 2**27
        assert found[0].is_cuda and found[0].equal(found[1])
        assert_same(found[0], cpu_2KT)
    chance_RT = average_precision_by_chance(scores_cuda_NK, present_NT, permutations=2, seed=1)
    assert_same(chance_RT, average_precision_by_chance(scores_NK, present_NT, permutations=2, seed=1))
    drawn_RT = average_precision_resampled(scores_cuda_NK, present_NT, resamples=2, seed=1)
    assert_same(drawn_RT, average_precision_resampled(scores_NK, present_NT, resamples=2, seed=1))
