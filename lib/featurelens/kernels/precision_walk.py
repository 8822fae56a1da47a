"""Average precision on the CPU: sort the images once, walk them, touch the positives only.

A pair of direction and concept then costs as much as the concept has positives, not one pass over all
images. numba compiles the walk; this module is imported on first use.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numba import njit

from featurelens.kernels.precision_entries import Entries

# The walk visits images in random order. The entries of so many are fetched together, ahead of it:
# it then waits for memory once, not once per image (half the time of a walk over 60,000 images).
AHEAD = 64


def signed(scores_NK: torch.Tensor, listed: Entries, max_bytes: int) -> torch.Tensor:
    """Return ap_2KT of :func:`featurelens.kernels.precision.average_precision_signed`, in torch's threads."""
    n_images, n_directions = scores_NK.shape
    stop_N = torch.bincount(listed.image_E, minlength=n_images).cumsum(0).numpy()
    start_N = np.concatenate([[0], stop_N[:-1]])
    code_E = np.append((2 * listed.concept_E + listed.present_E).numpy(), 0)  # one more: see _fetch
    code_E = code_E.astype(np.uint16 if code_E.max() < 2**16 else np.uint32)  # small: it is read at random
    weight_N, totals = listed.weight_N.numpy(), (listed.positives_T.numpy(), listed.considered_T.numpy())
    ap_KT2 = np.zeros((n_directions, len(totals[0]), 2))

    def one_direction(score_N: np.ndarray, ap_T2: np.ndarray) -> None:
        order_N = np.argsort(score_N)
        rows = score_N[order_N], weight_N[order_N], start_N[order_N], stop_N[order_N]
        _walk(*rows, code_E, *totals, listed.chosen, ap_T2)

    block = max(1, max_bytes // (n_images * scores_NK.element_size()))
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        for first in range(0, n_directions, block):
            block_BN = scores_NK[:, first : first + block].T.contiguous().numpy()
            list(threads.map(one_direction, block_BN, ap_KT2[first : first + block]))
    return torch.from_numpy(ap_KT2).permute(2, 0, 1).contiguous() / listed.positives_T


@njit(nogil=True, cache=True)
def _walk(score_N, weight_N, start_N, stop_N, code_E, positives_T, considered_T, chosen, ap_T2):
    """Sum precision over the positives of each concept; images come by rising score.

    A group of equal scores is taken whole: its m positives each get the precision at its last image. Read
    from the top (column 0) that image is the group's lowest, from the bottom (column 1) its highest, so one
    walk serves both signs. ``code`` is twice the concept, plus one if the image is positive for it.
    """
    n_images, n_concepts = len(score_N), len(positives_T)
    group_T, group_seen_T = np.zeros(n_concepts, np.int64), np.zeros(n_concepts, np.int64)
    below_T, below_seen_T = np.zeros(n_concepts, np.int64), np.zeros(n_concepts, np.int64)
    total, seen, fetched, kept = weight_N.sum(), 0, 0, 0
    i = 0
    while i < n_images:
        if i >= fetched:
            fetched = min(i + AHEAD, n_images)
            kept += _fetch(start_N, stop_N, code_E, i, fetched)
        per_above = 1 / max(total - seen, 1)  # one over the rank, counted from the top
        j = i
        while j < n_images and score_N[j] == score_N[i]:
            seen += weight_N[j]
            for e in range(start_N[j], stop_N[j]):
                concept = code_E[e] >> 1
                group_T[concept] += weight_N[j] * (code_E[e] & 1)
                if chosen:
                    group_seen_T[concept] += weight_N[j]
            j += 1
        per_below = 1 / max(seen, 1)  # and from the bottom
        for image in range(i, j):
            for e in range(start_N[image], stop_N[image]):
                concept = code_E[e] >> 1
                if chosen:  # ranks among the concept's own images
                    if group_seen_T[concept] == 0:  # the group has been added at an earlier image of it
                        continue
                    per_above = 1 / (considered_T[concept] - below_seen_T[concept])
                    below_seen_T[concept] += group_seen_T[concept]
                    per_below = 1 / below_seen_T[concept]
                    group_seen_T[concept] = 0
                m = group_T[concept]
                ap_T2[concept, 0] += m * (positives_T[concept] - below_T[concept]) * per_above
                below_T[concept] += m
                ap_T2[concept, 1] += m * below_T[concept] * per_below
                group_T[concept] = 0
        i = j
    return kept


@njit(nogil=True, cache=True)
def _fetch(start_N, stop_N, code_E, first, last):
    """Read both ends of the images' entries, so that they are in the cache.

    The sum has no meaning; without it the compiler would drop the reads. An image without entries reads
    beside them, hence the spare entry at the end of the list.
    """
    total = 0
    for i in range(first, last):
        total += code_E[start_N[i]] + code_E[stop_N[i] - 1]
    return total
