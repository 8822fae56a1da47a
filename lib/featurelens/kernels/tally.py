"""Compiled loops of the pruning curve; apart from it because numba is imported only when they are needed."""

import numpy as np
from numba import njit

# Images that take a direction together: their scores stay in the cache, and so does the direction.
TILE = 8


@njit(nogil=True, cache=True, fastmath={"contract"})
def tally(c_BK, slack_B, first_B, stop_B, a_KC, bias_C, orders_RK, top_T):
    """Count the images that are right after each step of each order.

    Args:
        c_BK: coefficients of images on directions.
        slack_B: difference below which scores of an image are equal.
        first_B, stop_B: range of the classes that are right.
        a_KC: what each direction adds to the scores, per unit of coefficient.
        bias_C: scores before the first direction.
        orders_RK: orders of the directions.
        top_T: how many classes must be above the right one to make it wrong.

    Returns:
        correct_RTK1: counts, int64.
    """
    n_orders, n_steps = orders_RK.shape
    correct_RTK1 = np.zeros((n_orders, len(top_T), n_steps + 1), np.int64)
    score_BC = np.empty((TILE, len(bias_C)))
    for start in range(0, len(c_BK), TILE):
        images = range(start, min(start + TILE, len(c_BK)))
        for r in range(n_orders):
            score_BC[:] = bias_C
            for step in range(n_steps + 1):
                j = orders_RK[r, max(step - 1, 0)]
                for i in images:
                    x = c_BK[i, j] if step else 0.0
                    above = _add(score_BC[i - start], x, a_KC[j], first_B[i], stop_B[i], slack_B[i])
                    for t in range(len(top_T)):
                        correct_RTK1[r, t, step] += above < top_T[t]
    return correct_RTK1


@njit(nogil=True, cache=True, fastmath={"contract"}, inline="always")
def _add(score_C, x, a_C, first, stop, slack):
    """Add x times a direction to one image's scores; return how many other classes are above the right."""
    best = -np.inf
    for c in range(first, stop):
        score_C[c] += x * a_C[c]
        best = max(best, score_C[c])
    # Earlier classes win ties, later ones lose them.
    earlier = _add_and_count(score_C[:first], x, a_C[:first], best - slack)
    return earlier + _add_and_count(score_C[stop:], x, a_C[stop:], best + slack)


@njit(nogil=True, cache=True, fastmath={"contract"}, inline="always")
def _add_and_count(score_C, x, a_C, bar):
    """Add in place; count the scores above the bar. Indices from 0 on, so that it compiles to vectors."""
    above = 0
    for c in range(len(score_C)):
        score_C[c] += x * a_C[c]
        above += score_C[c] > bar
    return above
