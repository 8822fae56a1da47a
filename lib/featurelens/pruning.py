"""Accuracy and effective robustness of a head that keeps only its first k directions, as tidy tables."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from featurelens import checks, kernels, robustness
from featurelens.heads import LinearHead

RANDOM_ORDERS = 5
MEASURED = ("k", "correct", "images", "accuracy", "er")


class Labelled(NamedTuple):
    """Features with labels; ``group_C`` is the label each class of the head stands for, if not its own."""

    h_ND: torch.Tensor
    y_N: torch.Tensor
    group_C: torch.Tensor | None = None


class Plan(NamedTuple):
    """Which directions a head is made of, the order in which they are kept, and the origin of the features.

    The scores of the origin are not pruned: they are a bias.
    """

    order: str
    draw: int
    directions: kernels.Directions
    order_K: torch.Tensor
    origin_D: torch.Tensor | None = None


def plans(w_CD: torch.Tensor, reference_ND: torch.Tensor) -> list[Plan]:
    """Return every order in which a head is pruned, by its name.

    - *importance*: most important first, the paper's order;
    - *reversed*: least important first;
    - *random*: 5 draws of a random order;
    - *outliers first*: by :func:`featurelens.kernels.overlap` with :func:`outliers`;
    - *singular value*: strongest first, so the best approximation of the head at every rank;
    - *centred*: the same for the head minus its mean row, which decides alike in every case;
    - *reduced rank*: :func:`featurelens.kernels.reduced_rank` of the centred head, with the mean of the
      reference features as origin: the best approximation of their scores, up to constants of each class.

    Args:
        w_CD: the head.
        reference_ND: features that importance, outliers and reduced rank are measured on; no labels are used.

    Raises:
        TypeError, ValueError: as the kernels.
    """
    centred_CD = w_CD - w_CD.mean(0)
    own = kernels.directions(w_CD)
    by_importance = kernels.importance(own, reference_ND).argsort(descending=True, stable=True)
    by_overlap = kernels.overlap(own, outliers(reference_ND)).argsort(descending=True, stable=True)
    natural_K = torch.arange(len(own.s_K))
    generator = torch.Generator().manual_seed(0)
    origin_D = reference_ND.double().mean(0)
    reduced = kernels.reduced_rank(centred_CD, reference_ND.double() - origin_D)
    return [
        Plan("importance", 0, own, by_importance),
        Plan("reversed", 0, own, by_importance.flip(0)),
        *(
            Plan("random", draw, own, torch.randperm(len(natural_K), generator=generator))
            for draw in range(RANDOM_ORDERS)
        ),
        Plan("outliers first", 0, own, by_overlap),
        Plan("singular value", 0, own, natural_K),
        Plan("centred", 0, kernels.directions(centred_CD), natural_K),
        Plan("reduced rank", 0, reduced, natural_K, origin_D),
    ]


def outliers(h_ND: torch.Tensor) -> list[int]:
    """Return the outlier coordinates, or where there are none the one that adds most to the kurtosis."""
    found = kernels.outlier_coordinates(h_ND).tolist()
    return found or [int(kernels.kurtosis_contributions(h_ND).argmax())]


def curves(
    head: LinearHead,
    sets: Mapping[str, Labelled],
    reference_ND: torch.Tensor,
    fits: Mapping[str, robustness.Fit] | None = None,
    top: int = 1,
    orders: Collection[str] | None = None,
) -> pd.DataFrame:
    """Return the accuracy of a head at every k, for every order and image set.

    Args:
        head: on the features of ``sets``.
        sets: image sets by name; the first is the base that others are shifts of.
        reference_ND: features to take the orders from, see :func:`plans`; better not those of the base.
        fits: baseline of each shift that has one, for its effective robustness.
        top: an image is right if its label is among the ``top`` highest.
        orders: names of the orders wanted, see :func:`plans`; default: all.

    Returns:
        One row per order, draw, image set and k: ``correct``, ``images``, and what :func:`scored` adds.

    Raises:
        TypeError, ValueError: as :func:`featurelens.kernels.pruning_curves`.
    """
    if not sets:
        raise ValueError("expected at least one image set, found none")
    every = [plan for plan in plans(head.w_CD, reference_ND) if orders is None or plan.order in orders]
    bundles: dict[int, list[Plan]] = {}
    for plan in every:  # orders of the same directions share their projections
        bundles.setdefault(id(plan.directions), []).append(plan)
    parts = []
    for name, (h_ND, y_N, group_C) in sets.items():
        for bundle in bundles.values():
            orders_RK = torch.stack([plan.order_K for plan in bundle])
            seen_ND, bias_C = _from_origin(h_ND, head, bundle[0].origin_D)
            correct_RTK1 = kernels.pruning_curves(
                seen_ND, bundle[0].directions, y_N, orders_RK, bias_C, group_C, tops=(top,)
            )
            for plan, correct_K1 in zip(bundle, correct_RTK1[:, 0].numpy(), strict=True):
                facts = {"order": plan.order, "draw": plan.draw, "image_set": name, "images": len(y_N)}
                parts.append(pd.DataFrame({"k": np.arange(len(correct_K1)), "correct": correct_K1, **facts}))
    return scored(pd.concat(parts, ignore_index=True), next(iter(sets)), fits)


def _from_origin(
    h_ND: torch.Tensor, head: LinearHead, origin_D: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Move the features' origin, and put its scores into the bias: the whole head's scores stay the same."""
    if origin_D is None:
        return h_ND, head.b_C
    bias_C = head.w_CD.double() @ origin_D
    return h_ND.double() - origin_D, bias_C if head.b_C is None else bias_C + head.b_C


def two_fold(
    head: LinearHead,
    sets: Mapping[str, Labelled],
    fits: Mapping[str, robustness.Fit] | None = None,
    orders: Collection[str] | None = None,
) -> pd.DataFrame:
    """Return :func:`curves` whose orders come from one half of the base images and are judged on the other.

    Both halves are judged, and their counts added; image sets other than the base count twice, once with
    the orders of each half.

    Raises:
        TypeError, ValueError: as :func:`curves`.
    """
    if not sets:
        raise ValueError("expected at least one image set, found none")
    base = next(iter(sets))
    h_ND, y_N, group_C = sets[base]
    # Drawn, not alternating: labels may alternate too, and halves of different classes would be no halves.
    fold_N = torch.randperm(len(y_N), generator=torch.Generator().manual_seed(0)) % 2
    parts = []
    for fold in (0, 1):
        judged_N = fold_N == fold
        half = {base: Labelled(h_ND[judged_N], y_N[judged_N], group_C)}
        parts.append(curves(head, {**sets, **half}, h_ND[~judged_N], orders=orders))
    counts = pd.concat(parts).groupby(["order", "draw", "image_set", "k"], sort=False, as_index=False)
    return scored(counts[["correct", "images"]].sum(), base, fits)


def scored(counts: pd.DataFrame, base: str, fits: Mapping[str, robustness.Fit] | None = None) -> pd.DataFrame:
    """Add ``accuracy`` to a table of ``correct`` and ``images``, and ``er`` at every k.

    Effective robustness is in percentage points; it is missing without a baseline, and where an accuracy of
    0 or 1 has no logit.

    Raises:
        UnknownNameError: the base is not in the table.
    """
    checks.known("image set", base, counts["image_set"].unique())
    table = counts.assign(accuracy=counts["correct"] / counts["images"], er=np.nan)
    key = ["order", "draw", "k"]
    on_base = table[table["image_set"] == base].set_index(key)["accuracy"]
    acc_in = on_base.reindex(pd.MultiIndex.from_frame(table[key])).to_numpy()
    has_logit = table["accuracy"].between(0, 1, "neither") & (acc_in > 0) & (acc_in < 1)
    for shift, fit in (fits or {}).items():
        rows = has_logit & (table["image_set"] == shift)
        acc_shift = table.loc[rows, "accuracy"]
        table.loc[rows, "er"] = robustness.effective_robustness(acc_in[rows], acc_shift, fit)
    return table


def kept(accuracy_K1: np.ndarray, loss: float = 0.01) -> int:
    """Return the smallest k from which on accuracy never is more than ``loss`` below that of the whole head.

    Raises:
        ValueError: no curve.
    """
    accuracy_K1 = np.asarray(accuracy_K1, dtype=np.float64)
    if accuracy_K1.ndim != 1 or not len(accuracy_K1) or np.isnan(accuracy_K1).any():
        found = f"{accuracy_K1.shape}, {np.isnan(accuracy_K1).sum()} missing"
        raise ValueError(f"expected accuracies at k = 0..K, found {found}")
    low = np.flatnonzero(accuracy_K1 < accuracy_K1[-1] - loss - 1e-12)
    return int(low[-1]) + 1 if len(low) else 0


def prunable(table: pd.DataFrame, losses: tuple[float, ...] = (0.01, 0.02, 0.05)) -> pd.DataFrame:
    """Return which share of the directions can go before accuracy falls by more than each loss.

    Args:
        table: ``k`` and ``accuracy``, every k of each curve; all columns but those of measurements tell
            curves apart.
        losses: fractions of the images.

    Returns:
        One row per curve: ``full`` (accuracy of the whole head), ``directions`` (K) and for each loss, named
        in points, ``kept <loss>`` directions and ``prunable <loss>``, a fraction.
    """
    names = [column for column in table if column not in MEASURED]
    rows = []
    for key, curve in table.groupby(names, sort=False):
        accuracy_K1 = curve.sort_values("k")["accuracy"].to_numpy()
        n_directions = len(accuracy_K1) - 1
        row = dict(zip(names, key, strict=True)) | {"full": accuracy_K1[-1], "directions": n_directions}
        for loss in losses:
            row[f"kept {100 * loss:g}"] = kept(accuracy_K1, loss)
            row[f"prunable {100 * loss:g}"] = 1 - row[f"kept {100 * loss:g}"] / n_directions
        rows.append(row)
    return pd.DataFrame(rows)


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """Return counts with one row per k and one column per image set and order (draws averaged).

    The form in which curves are stored: repeated names would make the file ten times as large.
    """
    table = table.assign(column=table["image_set"] + ": " + table["order"])
    counts = table.pivot_table("correct", "k", "column", aggfunc="mean", sort=False)
    images = table.drop_duplicates("image_set").set_index("image_set")["images"]
    return counts.assign(**{f"{name}: images": n for name, n in images.items()}).reset_index()


def long(table: pd.DataFrame) -> pd.DataFrame:
    """Undo :func:`wide`: one row per image set, order and k with its accuracy; other columns are kept."""
    columns = [column for column in table if ": " in column]
    described = [column for column in table if column not in columns]
    tall = table.melt(described, columns, var_name="column", value_name="correct")
    tall[["image_set", "order"]] = tall.pop("column").str.split(": ", expand=True)
    images = tall[tall["order"] == "images"].rename(columns={"correct": "images"}).drop(columns="order")
    tall = tall[tall["order"] != "images"].merge(images, on=[*described, "image_set"])
    return tall.assign(accuracy=tall["correct"] / tall["images"])
