"""What a best average precision is worth: the one luck gives, and the spread over other draws of images."""

import torch

from featurelens.kernels.precision import MAX_BYTES, checked_scores, run
from featurelens.kernels.precision_entries import entries


@torch.no_grad()
def average_precision_by_chance(
    scores_NK: torch.Tensor,
    present_NT: torch.Tensor,
    considered_NT: torch.Tensor | None = None,
    *,
    permutations: int,
    seed: int,
    max_bytes: int = MAX_BYTES,
) -> torch.Tensor:
    """Return how well the best direction and sign rank each concept when the labels mean nothing.

    Each of R permutations deals the rows of scores to other images and searches all directions again: the
    search is as wide, and the directions depend on each other, as with the real labels. What the real search
    finds for a concept is beyond chance where it exceeds nearly all of these.

    Args:
        scores_NK, present_NT, considered_NT, max_bytes: as
            :func:`featurelens.kernels.average_precision`.
        permutations: how many; each costs as much as the real search.
        seed: of the permutations.

    Returns:
        ap_RT: largest average precision over directions and signs, float64; NaN for a concept without a
            positive or without a negative image.

    Raises:
        TypeError, ValueError: as :func:`featurelens.kernels.average_precision`; no permutations.

    Source: the maximum statistic of Westfall & Young, "Resampling-Based Multiple Testing" (1993).
    """
    random = _random("permutations", permutations, seed)
    scores_NK = checked_scores(scores_NK)
    listed = entries(len(scores_NK), present_NT, considered_NT, None, scores_NK.device)
    ap_RT = []
    for _ in range(permutations):
        deal_N = torch.randperm(len(scores_NK), generator=random).to(scores_NK.device)
        ap_RT.append(run(scores_NK[deal_N], listed, max_bytes).amax((0, 1)))
    return torch.stack(ap_RT)


@torch.no_grad()
def average_precision_resampled(
    scores_NK: torch.Tensor,
    present_NT: torch.Tensor,
    considered_NT: torch.Tensor | None = None,
    *,
    resamples: int,
    seed: int,
    max_bytes: int = MAX_BYTES,
) -> torch.Tensor:
    """Return how well each concept's best direction ranks it when the images are drawn again (bootstrap).

    Direction and sign are those that are best on all images: to search again in every resample would reward
    luck twice. Each of R resamples draws as many images as there are, with replacement.

    Args:
        scores_NK, present_NT, considered_NT, max_bytes: as
            :func:`featurelens.kernels.average_precision`.
        resamples: how many; each costs as much as a search of the best directions alone.
        seed: of the resamples.

    Returns:
        ap_RT: average precision, float64; NaN where the resample has no positive or no negative image.

    Raises:
        TypeError, ValueError: as :func:`featurelens.kernels.average_precision`; no resamples.
    """
    random = _random("resamples", resamples, seed)
    scores_NK = checked_scores(scores_NK)
    n_images, n_directions = scores_NK.shape
    listed = entries(n_images, present_NT, considered_NT, None, scores_NK.device)
    best_T = run(scores_NK, listed, max_bytes).nan_to_num(0).flatten(0, 1).argmax(0)
    used_U, place_T = (best_T % n_directions).unique(return_inverse=True)
    scores_NU, concept_T = scores_NK[:, used_U], torch.arange(len(best_T), device=best_T.device)
    ap_RT = []
    for _ in range(resamples):
        times_N = torch.randint(n_images, (n_images,), generator=random).bincount(minlength=n_images)
        ap_2UT = run(scores_NU, listed.weighted(times_N), max_bytes)
        ap_RT.append(ap_2UT[best_T // n_directions, place_T, concept_T])
    return torch.stack(ap_RT)


def _random(what: str, count: int, seed: int) -> torch.Generator:
    if count < 1:
        raise ValueError(f"{what}: expected at least one, found {count}")
    return torch.Generator().manual_seed(seed)
