"""Compiled loops of the pruning curve; apart from it because numba is imported only when they are needed."""

import numpy as np
from numba import njit

# Images that take directions together: their scores stay in the cache, and so do the directions.
TILE = 8


@njit(nogil=True, cache=True, fastmath={"contract"})
def tally(c_BK, slack_B, first_B, stop_B, a_KC, bias_C, orders_RK, top_T):
    """Count the images that are right after each step of each order.

    An image takes four directions on one trip through its scores: one trip for each would cost half as much
    time again. Point 0, the bias alone, and the points that fill up the last four add a direction 0 times.

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
    j_P = np.zeros(4 * (n_steps // 4 + 1), np.int64)
    times_P = np.zeros(len(j_P))
    times_P[1 : n_steps + 1] = 1
    for start in range(0, len(c_BK), TILE):
        images = range(start, min(start + TILE, len(c_BK)))
        for r in range(n_orders):
            score_BC[:] = bias_C
            j_P[1 : n_steps + 1] = orders_RK[r]
            for p in range(0, len(j_P), 4):
                a_4C = a_KC[j_P[p]], a_KC[j_P[p + 1]], a_KC[j_P[p + 2]], a_KC[j_P[p + 3]]
                for i in images:
                    x_4 = (
                        times_P[p] * c_BK[i, j_P[p]],
                        times_P[p + 1] * c_BK[i, j_P[p + 1]],
                        times_P[p + 2] * c_BK[i, j_P[p + 2]],
                        times_P[p + 3] * c_BK[i, j_P[p + 3]],
                    )
                    above_4 = _add(score_BC[i - start], x_4, a_4C, first_B[i], stop_B[i], slack_B[i])
                    for step in range(p, min(p + 4, n_steps + 1)):
                        for t in range(len(top_T)):
                            correct_RTK1[r, t, step] += above_4[step - p] < top_T[t]
    return correct_RTK1


@njit(nogil=True, cache=True, fastmath={"contract"}, inline="always")
def _add(score_C, x_4, a_4C, first, stop, slack):
    """Add four directions to one image's scores; return how many wrong classes win after each."""
    x0, x1, x2, x3 = x_4
    a0_C, a1_C, a2_C, a3_C = a_4C
    best0 = best1 = best2 = best3 = -np.inf
    for c in range(first, stop):
        score = score_C[c] + x0 * a0_C[c]
        best0 = max(best0, score)
        score += x1 * a1_C[c]
        best1 = max(best1, score)
        score += x2 * a2_C[c]
        best2 = max(best2, score)
        score += x3 * a3_C[c]
        best3 = max(best3, score)
        score_C[c] = score
    # Earlier classes win ties, later ones lose them.
    low_4 = (best0 - slack, best1 - slack, best2 - slack, best3 - slack)
    high_4 = (best0 + slack, best1 + slack, best2 + slack, best3 + slack)
    earlier_4C = (a0_C[:first], a1_C[:first], a2_C[:first], a3_C[:first])
    later_4C = (a0_C[stop:], a1_C[stop:], a2_C[stop:], a3_C[stop:])
    e_4 = _add_and_count(score_C[:first], x_4, earlier_4C, low_4)
    l_4 = _add_and_count(score_C[stop:], x_4, later_4C, high_4)
    return e_4[0] + l_4[0], e_4[1] + l_4[1], e_4[2] + l_4[2], e_4[3] + l_4[3]


@njit(nogil=True, cache=True, fastmath={"contract"}, inline="always")
def _add_and_count(score_C, x_4, a_4C, bar_4):
    """Add in place; count the scores above each bar. Indices from 0 on, so that it compiles to vectors."""
    x0, x1, x2, x3 = x_4
    a0_C, a1_C, a2_C, a3_C = a_4C
    bar0, bar1, bar2, bar3 = bar_4
    above0 = above1 = above2 = above3 = 0
    for c in range(len(score_C)):
        score = score_C[c] + x0 * a0_C[c]
        above0 += score > bar0
        score += x1 * a1_C[c]
        above1 += score > bar1
        score += x2 * a2_C[c]
        above2 += score > bar2
        score += x3 * a3_C[c]
        above3 += score > bar3
        score_C[c] = score
    return above0, above1, above2, above3
