"""Average precision of every direction for every concept: how well its scores put the concept's images first.

The plain definition comes first. The fast path visits positives only, in :mod:`precision_walk` on the CPU and
:mod:`precision_device` on other devices, and answers for a direction and for its opposite at once.
"""

import torch

from featurelens.kernels import precision_device
from featurelens.kernels.precision_entries import Entries, entries

# Default working memory. On the CPU any value does; a GPU likes many directions at a time.
MAX_BYTES = 2**30


def average_precision_plain(scores_NK: torch.Tensor, present_NT: torch.Tensor) -> torch.Tensor:
    """Return the average precision of each pair, as the formula reads: sum over n of (R_n - R_{n-1}) P_n.

    The thresholds n are the G distinct scores, highest first; P_n and R_n are precision and recall when every
    image that scores at least the threshold is called positive.

    Args:
        scores_NK: score of each image along each direction, floating.
        present_NT: whether the concept is in the image, bool.

    Returns:
        ap_KT: float64; NaN for a concept that is in no image, or in all.

    Source: the definition of scikit-learn's ``average_precision_score``.
    """
    rank_N1 = torch.arange(1, len(scores_NK) + 1, device=scores_NK.device)[:, None]
    ap_KT = []
    for score_N in scores_NK.T:
        score_N, order_N = score_N.sort(descending=True)
        threshold_N = score_N != score_N.roll(-1)  # true at the last image of each group of equal scores
        threshold_N[-1] = True
        found_NT = present_NT[order_N].double().cumsum(0)
        precision_GT = (found_NT / rank_N1)[threshold_N]
        recall_GT = (found_NT / found_NT[-1])[threshold_N]
        step_GT = recall_GT.diff(dim=0, prepend=torch.zeros_like(recall_GT[:1]))
        ap_KT.append((step_GT * precision_GT).sum(0))
    return torch.stack(ap_KT).masked_fill(present_NT.bool().all(0), torch.nan)


def average_precision(
    scores_NK: torch.Tensor,
    present_NT: torch.Tensor,
    considered_NT: torch.Tensor | None = None,
    *,
    weight_N: torch.Tensor | None = None,
    max_bytes: int = MAX_BYTES,
) -> torch.Tensor:
    """Return the average precision of each direction for each concept, exact under ties.

    Args:
        scores_NK: score of each image along each direction, floating. Only the order matters, so infinite
            scores are ranks like others.
        present_NT: whether the concept is in the image, bool or uint8.
        considered_NT: the images each concept is judged on, bool or uint8 (for example its positives and as
            many negatives). For a concept, other images do not exist. Default: all images.
        weight_N: how often each image counts, integer; as if its row were repeated. Default: once.
        max_bytes: working memory beside input and output, roughly. The result does not depend on it.

    Returns:
        ap_KT: float64, equal to scikit-learn's ``average_precision_score`` within 1e-12. NaN for a concept
            without a positive or without a negative image: one such concept does not stop the others.

    Raises:
        TypeError: scores that are not floating, labels not bool or uint8, weights not integer.
        ValueError: shapes that do not agree, empty ones, NaN scores, labels other than 0 and 1, negative
            weights.

    >>> scores_NK = torch.tensor([[3.0], [2.0], [1.0]])
    >>> average_precision(scores_NK, torch.tensor([[1], [0], [1]], dtype=torch.uint8))  # (1/1 + 2/3) / 2
    tensor([[0.8333]], dtype=torch.float64)
    """
    return average_precision_signed(
        scores_NK, present_NT, considered_NT, weight_N=weight_N, max_bytes=max_bytes
    )[0]


@torch.no_grad()
def average_precision_signed(
    scores_NK: torch.Tensor,
    present_NT: torch.Tensor,
    considered_NT: torch.Tensor | None = None,
    *,
    weight_N: torch.Tensor | None = None,
    max_bytes: int = MAX_BYTES,
) -> torch.Tensor:
    """Return the average precision of each direction and of its opposite, from one sort.

    The sign of a singular vector is arbitrary, so a fair search tries both.

    Args:
        scores_NK, present_NT, considered_NT, weight_N, max_bytes: as :func:`average_precision`.

    Returns:
        ap_2KT: float64; [0] ranks by the scores, [1] by the negated scores.

    Raises:
        TypeError, ValueError: as :func:`average_precision`.
    """
    scores_NK = checked_scores(scores_NK)
    listed = entries(len(scores_NK), present_NT, considered_NT, weight_N, scores_NK.device)
    return run(scores_NK, listed, max_bytes)


def run(scores_NK: torch.Tensor, listed: Entries, max_bytes: int) -> torch.Tensor:
    """Return ap_2KT of :func:`average_precision_signed` for input that has been checked."""
    if scores_NK.device.type == "cpu":
        from featurelens.kernels import precision_walk as path  # numba takes a moment to import
    else:
        path = precision_device
    return path.signed(scores_NK, listed, max_bytes).masked_fill_(listed.undefined_T, torch.nan)


def checked_scores(scores_NK: torch.Tensor) -> torch.Tensor:
    """Return the scores in float32 or float64.

    Raises:
        TypeError: not a floating tensor.
        ValueError: not a non-empty matrix, or NaN entries.
    """
    if not isinstance(scores_NK, torch.Tensor) or not scores_NK.is_floating_point():
        found = scores_NK.dtype if isinstance(scores_NK, torch.Tensor) else type(scores_NK).__name__
        raise TypeError(f"scores: expected a floating tensor (images x directions), found {found}")
    if scores_NK.ndim != 2 or 0 in scores_NK.shape:
        found = tuple(scores_NK.shape)
        raise ValueError(f"scores: expected a non-empty matrix (images x directions), found {found}")
    nan_K = scores_NK.isnan().any(0)
    if nan_K.any():
        found = f"NaN in {int(nan_K.sum())} directions, first direction {int(nan_K.nonzero()[0, 0])}"
        raise ValueError(f"scores: expected numbers (infinite ones may be), found {found}")
    return scores_NK.detach() if scores_NK.dtype == torch.float64 else scores_NK.detach().float()
