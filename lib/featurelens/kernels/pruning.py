"""Pruning: accuracy of a head that keeps only the first k of its directions, for every k at once.

The plain definition comes first: one truncated head per k. The fast path adds one direction at a time to
the scores of a few images that stay in the cache, and counts the classes that beat the right one.

Scores are sums of products in float64, where TF32 plays no part, so that rounding decides nothing. **Ties:**
scores that differ by less than ``TIE`` of the largest score possible for the image are equal, and of equal
scores the first class wins, as with ``argmax``. So with k = 0 and no bias every image is given the first
class, and classes with the same row in the head are told apart by their order alone.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch

from featurelens import checks
from featurelens.kernels.directions import Directions

TIE = 1e-11
# Images whose coefficients are held at a time (CPU), and scores that are (GPU): memory grows with neither
# the number of images nor that of directions.
CPU_ROWS = 256
GPU_SCORES = 2**24


def pruning_curve_plain(
    h_ND: torch.Tensor,
    directions: Directions,
    y_N: torch.Tensor,
    order_K: torch.Tensor,
    bias_C: torch.Tensor | float = 0.0,
) -> torch.Tensor:
    """Return how many images are right with the first k directions of an order, as the formula reads.

    Source: pruning of right singular vectors, Crabbé et al. (2023), first version of "Interpreting CLIP".
    """
    u_CK, s_K, v_DK = directions
    bound_N1 = h_ND.double().norm(dim=1, keepdim=True) * (u_CK * s_K).norm(dim=1).max()
    slack_N1 = TIE * (bound_N1 + torch.as_tensor(bias_C).abs().max())
    correct = []
    for k in range(len(order_K) + 1):
        kept = order_K[:k]
        w_CD = (u_CK[:, kept] * s_K[kept]) @ v_DK[:, kept].T
        score_NC = h_ND.double() @ w_CD.T + bias_C
        first_N = (score_NC >= score_NC.amax(1, keepdim=True) - slack_N1).int().argmax(1)
        correct.append((first_N == y_N).sum())
    return torch.stack(correct)


def pruning_curve(
    h_ND: torch.Tensor,
    directions: Directions,
    y_N: torch.Tensor,
    order_K: torch.Tensor,
    bias_C: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the number of images that are right with the first k directions of an order, k = 0..K.

    Args, Raises:
        As :func:`pruning_curves`, with one order.

    Returns:
        correct_K1: int64; the last entry is the whole head's.

    >>> d = Directions(torch.eye(2).double(), torch.ones(2).double(), torch.eye(2).double())
    >>> pruning_curve(torch.eye(2), d, torch.tensor([0, 1]), torch.tensor([0, 1]))
    tensor([1, 1, 2])
    """
    order_K = torch.as_tensor(order_K)
    return pruning_curves(h_ND, directions, y_N, order_K[None], bias_C)[0, 0]


@torch.no_grad()
def pruning_curves(
    h_ND: torch.Tensor,
    directions: Directions,
    y_N: torch.Tensor,
    orders_RK: torch.Tensor,
    bias_C: torch.Tensor | None = None,
    group_C: torch.Tensor | None = None,
    tops: Sequence[int] = (1,),
) -> torch.Tensor:
    """Return how many images are right with the first k directions of each order, k = 0..K.

    Coefficients ``h . v_k`` are computed once for all orders; memory does not grow with K. CUDA features
    are scored on their device.

    Args:
        h_ND: features.
        directions: of the head, on any device.
        y_N: label of each image, integers; a class may have no image.
        orders_RK: R permutations of 0..K-1, which directions come first.
        bias_C: added to the scores at every k.
        group_C: label that each class stands for, or -1 where the class is out of the question: for image
            sets with fewer labels than the head has classes. An image is right if a class of its label
            wins. Default: each class is its own label.
        tops: an image is right if fewer than ``top`` classes of other labels score higher than the best
            of its own; one entry for each.

    Returns:
        correct_RTK1: int64 counts; the last of each curve is the whole head's.

    Raises:
        TypeError: features or bias not floating, labels, orders or groups not integer.
        ValueError: shapes that do not fit, NaN or inf, labels out of range, a label without class, or an
            order that is not a permutation.
    """
    problem = _problem(h_ND, directions, y_N, orders_RK, bias_C, group_C)
    correct_RTK1 = torch.zeros(len(orders_RK), len(tops), orders_RK.shape[1] + 1, dtype=torch.int64)
    count = _count_on_gpu if problem.h_ND.is_cuda else _count_on_cpu
    count(problem, torch.as_tensor(tops), correct_RTK1)
    return correct_RTK1


def decisions(h_ND: torch.Tensor, directions: Directions, bias_C: torch.Tensor | None = None) -> torch.Tensor:
    """Class that the whole head decides for (N), as :func:`pruning_curves` counts: of equal scores the first.

    Raises:
        TypeError, ValueError: as :func:`pruning_curves`.
    """
    no_label_N, order_1K = torch.zeros(len(h_ND), dtype=torch.int64), torch.arange(len(directions.s_K))[None]
    problem = _problem(h_ND, directions, no_label_N, order_1K, bias_C, None)
    c_NK, slack_N = problem.coefficients(slice(None))
    score_NC = c_NK @ problem.a_KC + problem.bias_C
    return (score_NC >= (score_NC.amax(1) - slack_N)[:, None]).int().argmax(1)


class _Problem(NamedTuple):
    """Checked input; classes are sorted by label, so that each label is a range of classes."""

    h_ND: torch.Tensor
    a_KC: torch.Tensor  # s_k u_k: what direction k adds to the scores, per unit of h . v_k
    v_DK: torch.Tensor
    bias_C: torch.Tensor
    first_N: torch.Tensor  # the range of classes of each image's own label
    stop_N: torch.Tensor
    orders_RK: torch.Tensor

    def coefficients(self, rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ``h . v_k`` of some images (B x K), and the difference below which scores are equal (B)."""
        c_BK = self.h_ND[rows].double() @ self.v_DK
        # By the features' length, not the coefficients': where these cancel, rounding does not.
        length_B = self.h_ND[rows].double().norm(dim=1)
        bound_B = length_B * self.a_KC.norm(dim=0).max() + self.bias_C.abs().max()
        # Never zero: an image of zeros has ties as well.
        return c_BK, (TIE * bound_B).clamp(min=torch.finfo(torch.float64).tiny)


def _problem(h_ND, directions, y_N, orders_RK, bias_C, group_C) -> _Problem:
    """Check the input of :func:`pruning_curves` and bring it to the device of the features."""
    h_ND = checks.features(h_ND)
    u_CK, s_K, v_DK = (part.to(h_ND.device, torch.float64) for part in directions)
    n_classes, n_directions = u_CK.shape
    if s_K.shape != (n_directions,) or v_DK.shape[1] != n_directions:
        shapes = f"u {tuple(u_CK.shape)}, s {tuple(s_K.shape)}, v {tuple(v_DK.shape)}"
        raise ValueError(f"directions: expected C x K, K and D x K, found {shapes}")
    if h_ND.shape[1] != len(v_DK):
        raise ValueError(f"features: expected {len(v_DK)} coordinates, found {h_ND.shape[1]}")
    bias_C = u_CK.new_zeros(n_classes) if bias_C is None else bias_C
    if not bias_C.is_floating_point() or bias_C.shape != (n_classes,) or not bias_C.isfinite().all():
        raise ValueError(f"bias: expected {n_classes} finite numbers, found {tuple(bias_C.shape)}")
    label_C = torch.arange(n_classes) if group_C is None else _integers(group_C, "groups", (n_classes,))
    y_N = _integers(y_N, "labels", h_ND.shape[:1])
    n_labels = int(label_C.max()) + 1
    if y_N.min() < 0 or y_N.max() >= n_labels:
        raise ValueError(f"labels: expected 0..{n_labels - 1}, found {int(y_N.min())}..{int(y_N.max())}")
    asked = (label_C >= 0).nonzero()[:, 0]
    by_label = asked[label_C[asked].argsort(stable=True)]
    size = torch.bincount(label_C[asked], minlength=n_labels)
    if label_C.min() < -1 or not size.all():
        raise ValueError(f"groups: expected -1 or a label, with classes for each of 0..{n_labels - 1}")
    stop = size.cumsum(0)
    by_label = by_label.to(h_ND.device)
    return _Problem(
        h_ND,
        # Transposed by the selection itself, with no copy beside it.
        u_CK.T.index_select(1, by_label).mul_(s_K[:, None]),
        v_DK,
        bias_C.to(u_CK)[by_label],
        (stop - size)[y_N],
        stop[y_N],
        _permutations(orders_RK, n_directions),
    )


def _integers(values: torch.Tensor, what: str, shape: Sequence[int]) -> torch.Tensor:
    """Check an index tensor; return it on the CPU."""
    if not isinstance(values, torch.Tensor) or values.is_floating_point() or values.dtype == torch.bool:
        raise TypeError(f"{what}: expected an integer tensor, found {getattr(values, 'dtype', type(values))}")
    if values.shape != tuple(shape):
        raise ValueError(f"{what}: expected shape {tuple(shape)}, found {tuple(values.shape)}")
    return values.cpu().long()


def _permutations(orders_RK: torch.Tensor, n_directions: int) -> torch.Tensor:
    orders_RK = _integers(orders_RK, "order", (len(orders_RK), n_directions))
    for order_K in orders_RK:
        if (order_K.sort().values != torch.arange(n_directions)).any():
            missing = n_directions - len(set(order_K.tolist()) & set(range(n_directions)))
            raise ValueError(
                f"order: expected a permutation of 0..{n_directions - 1}, found {missing} missing"
            )
    return orders_RK


def _count_on_cpu(problem: _Problem, top_T: torch.Tensor, correct_RTK1: torch.Tensor) -> None:
    """Count with compiled loops, a share of the images on each of torch's threads."""
    from featurelens.kernels.tally import tally

    n_threads = torch.get_num_threads()
    fixed = (problem.a_KC.numpy(), problem.bias_C.numpy(), problem.orders_RK.numpy(), top_T.numpy())
    with ThreadPoolExecutor(n_threads) as pool:
        for start in range(0, len(problem.h_ND), CPU_ROWS):
            rows = slice(start, start + CPU_ROWS)
            c_BK, slack_B = problem.coefficients(rows)
            images = (c_BK, slack_B, problem.first_N[rows], problem.stop_N[rows])
            shares = zip(*(part.tensor_split(n_threads) for part in images), strict=True)
            for counted in pool.map(lambda share: tally(*(p.numpy() for p in share), *fixed), shares):
                correct_RTK1 += torch.from_numpy(counted)


def _count_on_gpu(problem: _Problem, top_T: torch.Tensor, correct_RTK1: torch.Tensor) -> None:
    """Count with one rank-one update per direction on a block of scores."""
    device, n_classes = problem.h_ND.device, problem.a_KC.shape[1]
    class_C, n_rows = torch.arange(n_classes, device=device), max(1, GPU_SCORES // n_classes)
    for start in range(0, len(problem.h_ND), n_rows):
        rows = slice(start, start + n_rows)
        c_BK, slack_B = problem.coefficients(rows)
        first_B1, stop_B1 = (edge[rows, None].to(device) for edge in (problem.first_N, problem.stop_N))
        own_BC = (class_C >= first_B1) & (class_C < stop_B1)
        # Earlier classes win ties, later ones lose them, and a label does not compete with itself.
        margin_BC = torch.where(class_C < first_B1, -slack_B[:, None], slack_B[:, None])
        margin_BC[own_BC] = torch.inf
        for curve_TK1, order_K in zip(correct_RTK1, problem.orders_RK.tolist(), strict=True):
            score_BC = problem.bias_C.repeat(len(c_BK), 1)
            above_BK1 = torch.empty(len(c_BK), len(order_K) + 1, dtype=torch.int32, device=device)
            for k in range(len(order_K) + 1):
                if k:
                    score_BC.addr_(c_BK[:, order_K[k - 1]], problem.a_KC[order_K[k - 1]])
                own_B1 = score_BC.masked_fill(~own_BC, -torch.inf).amax(1, keepdim=True)
                above_BK1[:, k] = (score_BC > own_B1 + margin_BC).sum(1)
            curve_TK1 += torch.stack([(above_BK1 < top).sum(0) for top in top_T.tolist()]).cpu()
