"""Pruning tables against truncated heads one by one, and on heads whose curve is known."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from featurelens import heads, pruning, robustness
from featurelens.heads import LinearHead
from featurelens.pruning import Labelled

RANDOM = ["random"] * 5
ORDERS = ["importance", "reversed", *RANDOM, "outliers first", "singular value", "centred", "reduced rank"]


def gaussian(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def case():
    """A head with bias, a base and a shift judged in groups of classes, and features to take orders from."""
    head = LinearHead(gaussian(7, 10) + 0.3, 0.5 * gaussian(1, 7, 1)[0], "pre")
    base_ND, shift_ND = gaussian(60, 10, 2), gaussian(41, 10, 3) + 0.4
    y_N = (heads.logits(base_ND, head.w_CD, head.b_C) + 3 * gaussian(60, 7, 4)).argmax(1)
    group_C = torch.tensor([1, 0, -1, 0, 2, 1, 0])
    sets = {"base": Labelled(base_ND, y_N), "shift": Labelled(shift_ND, torch.arange(41) % 3, group_C)}
    reference_ND = gaussian(80, 10, 5)
    reference_ND[:, 6] += 9
    return head, sets, reference_ND


def truncated(head: LinearHead, data: Labelled, plan: pruning.Plan, k: int, top: int) -> int:
    """Images that are right with k directions, in numpy: make the small head, then count better labels."""
    u, s, v, h = (part.double().numpy() for part in (*plan.directions, data.h_ND))
    bias = 0 if head.b_C is None else head.b_C.double().numpy()
    if plan.origin_D is not None:
        h, bias = h - plan.origin_D.numpy(), bias + head.w_CD.double().numpy() @ plan.origin_D.numpy()
    kept = plan.order_K[:k].tolist()
    scores = h @ sum((s[j] * np.outer(u[:, j], v[:, j]) for j in kept), np.zeros((len(u), len(v)))).T + bias
    group = np.arange(len(u)) if data.group_C is None else data.group_C.numpy()
    right = 0
    for score, y in zip(scores, data.y_N.tolist(), strict=True):
        right += sum(score[(group != y) & (group >= 0)] > max(score[group == y])) < top
    return right


# Orders


def test_every_order_is_listed_once_and_keeps_every_direction_once(case):
    head, _, reference_ND = case
    before = torch.random.get_rng_state()
    every = pruning.plans(head.w_CD, reference_ND)
    assert [plan.order for plan in every] == ORDERS
    assert [plan.draw for plan in every if plan.order == "random"] == [0, 1, 2, 3, 4]
    assert all(sorted(plan.order_K.tolist()) == list(range(7)) for plan in every)
    assert len({tuple(plan.order_K.tolist()) for plan in every if plan.order == "random"}) == 5
    again = pruning.plans(head.w_CD, reference_ND)
    assert all(torch.equal(a.order_K, b.order_K) for a, b in zip(every, again, strict=True))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_orders_are_what_their_names_say(case):
    head, _, reference_ND = case
    plan = {plan.order: plan for plan in pruning.plans(head.w_CD, reference_ND)}
    w, h = head.w_CD.double().numpy(), reference_ND.double().numpy()
    _, s, v = np.linalg.svd(w, full_matrices=False)
    cosines = np.abs(h @ v.T) / np.linalg.norm(h, axis=1, keepdims=True)
    by_importance = np.argsort(-s * cosines.mean(0))
    assert plan["importance"].order_K.tolist() == by_importance.tolist()
    assert plan["reversed"].order_K.tolist() == by_importance[::-1].tolist()
    assert by_importance.tolist() != list(range(7)), "the case must tell importance from strength"
    assert plan["outliers first"].order_K.tolist() == np.argsort(-(v[:, 6] ** 2)).tolist()
    for name in ("importance", "singular value", "random"):
        np.testing.assert_allclose(plan[name].directions.s_K, s, rtol=1e-6)
    centred = w - w.mean(0)
    np.testing.assert_allclose(
        plan["centred"].directions.s_K, np.linalg.svd(centred, compute_uv=False), atol=1e-6
    )
    u, s, v = plan["reduced rank"].directions
    np.testing.assert_allclose((u * s) @ v.T, centred, atol=1e-6)
    scores = (h - h.mean(0)) @ centred.T
    best = np.linalg.svd(scores, compute_uv=False)  # Eckart and Young: nothing of rank 3 is closer
    error = np.square(scores - (h - h.mean(0)) @ (v[:, :3] @ (u * s)[:, :3].T).numpy()).sum()
    assert error == pytest.approx(np.square(best[3:]).sum(), rel=1e-4)
    np.testing.assert_allclose(plan["reduced rank"].origin_D, h.mean(0))
    assert [name for name in plan if plan[name].origin_D is not None] == ["reduced rank"]
    for name in ("singular value", "centred", "reduced rank"):
        assert plan[name].order_K.tolist() == list(range(7))


def test_outliers_are_the_planted_or_else_the_largest_contribution():
    h_ND = gaussian(200, 64)
    h_ND[:, 5] += 20
    h_ND[:, 9] -= 25
    assert sorted(pruning.outliers(h_ND)) == [5, 9]
    quiet_ND = gaussian(200, 64, 1)
    quiet_ND[:, 17] *= 2
    z_ND = (quiet_ND - quiet_ND.mean(1, keepdim=True)) / quiet_ND.std(1, keepdim=True, correction=0)
    assert pruning.outliers(quiet_ND) == [17] == [int(z_ND.pow(4).mean(0).argmax())]


# Curves


@pytest.mark.parametrize("top", [1, 2])
def test_every_point_is_a_truncated_head(case, top):
    head, sets, reference_ND = case
    table = pruning.curves(head, sets, reference_ND, top=top)
    assert len(table) == len(ORDERS) * 2 * 8 and not table.isna().drop(columns="er").any(axis=None)
    found = table.set_index(["order", "draw", "image_set", "k"])
    for plan in pruning.plans(head.w_CD, reference_ND):
        for name, data in sets.items():
            for k in range(8):
                row = found.loc[(plan.order, plan.draw, name, k)]
                expected = truncated(head, data, plan, k, top)
                assert row["correct"] == expected, (plan.order, plan.draw, name, k)
                assert row["accuracy"] == expected / len(data.y_N) and row["images"] == len(data.y_N)


def test_with_all_directions_every_order_decides_like_the_head(case):
    head, sets, reference_ND = case
    for bias_C in (head.b_C, None):
        whole = pruning.curves(head._replace(b_C=bias_C), sets, reference_ND).query("k == 7")
        scores_NC = heads.logits(sets["shift"].h_ND, head.w_CD, bias_C)
        scores_NC[:, sets["shift"].group_C < 0] = -torch.inf
        said_N = sets["shift"].group_C[scores_NC.argmax(1)]
        accuracy = {
            "base": heads.accuracy(sets["base"].h_ND, head.w_CD, sets["base"].y_N, bias_C),
            "shift": (said_N == sets["shift"].y_N).double().mean().item(),
        }
        assert 0.2 < accuracy["base"] < 1 and set(whole["order"]) == set(ORDERS)
        for name, rows in whole.groupby("image_set"):
            assert rows["accuracy"].nunique() == 1 and rows["accuracy"].iloc[0] == accuracy[name]


STRENGTH = (4.0, 3.0, 2.0, 1.0)


def one_hot(labels: list[int]) -> Labelled:
    """Images that are their class's axis: of a diagonal head, direction k decides about class k alone."""
    y_N = torch.tensor(labels)
    return Labelled(torch.eye(4)[y_N], y_N)


DIAGONAL = LinearHead(torch.diag(torch.tensor(STRENGTH)), None, "pre")


def expected_curve(labels: list[int], order: list[int]) -> list[int]:
    """Class 0 is right from the start, since the first class wins ties; the others when they are kept."""
    return [sum(y == 0 or y in order[:k] for y in labels) for k in range(5)]


def test_curves_of_a_diagonal_head_are_known_by_hand():
    # Importance is strength x share of the images: 4, 3 x 2, 2 x 5, 1 x 1 over 9.
    labels = [0, 1, 1, 2, 2, 2, 2, 2, 3]
    table = pruning.curves(DIAGONAL, {"base": one_hot(labels)}, one_hot(labels).h_ND)
    curve = table[table["draw"] == 0].set_index(["order", "k"])["correct"].unstack("k")
    assert curve.loc["importance"].tolist() == [1, 6, 8, 8, 9] == expected_curve(labels, [2, 1, 0, 3])
    assert curve.loc["reversed"].tolist() == [1, 2, 2, 4, 9] == expected_curve(labels, [3, 0, 1, 2])
    assert curve.loc["singular value"].tolist() == [1, 1, 3, 8, 9] == expected_curve(labels, [0, 1, 2, 3])


# Two halves


@pytest.fixture
def halves(monkeypatch):
    """Call ``two_fold``, and return its table with what each call of ``curves`` was given."""

    def called(head, sets, fits=None):
        given = []
        curves = pruning.curves

        def noted(head, sets, reference_ND, **more):
            given.append((sets, reference_ND))
            return curves(head, sets, reference_ND, **more)

        with monkeypatch.context() as patch:
            patch.setattr(pruning, "curves", noted)
            return pruning.two_fold(head, sets, fits), given

    return called


def test_the_order_comes_from_the_other_half(halves):
    names = Labelled(torch.arange(1.0, 33).reshape(8, 4), torch.arange(8) % 4)
    _, given = halves(DIAGONAL, {"base": names})
    first_N = torch.isin(names.h_ND[:, 0], given[0][0]["base"].h_ND[:, 0])
    assert first_N.sum() == 4
    first, second, shift = [1, 1, 1, 2], [3, 3, 3, 2], [3, 1, 2, 0, 3]
    labels = torch.zeros(8, dtype=torch.long)
    labels[first_N], labels[~first_N] = torch.tensor(first), torch.tensor(second)
    table = pruning.two_fold(DIAGONAL, {"base": one_hot(labels.tolist()), "shift": one_hot(shift)})
    curve = table[table["order"] == "importance"].set_index(["image_set", "k"])["correct"].unstack("k")
    of_first, of_second = [1, 2, 0, 3], [3, 2, 0, 1]  # 3 x 3 and 2 x 1; 1 x 3 and 2 x 1
    crossed = np.add(expected_curve(first, of_second), expected_curve(second, of_first))
    assert curve.loc["base"].tolist() == crossed.tolist() == [0, 0, 2, 2, 8]
    straight = np.add(expected_curve(first, of_first), expected_curve(second, of_second))
    assert straight.tolist() == [0, 6, 8, 8, 8], "an order from the own half would look better"
    both = np.add(expected_curve(shift, of_first), expected_curve(shift, of_second))
    assert curve.loc["shift"].tolist() == both.tolist()


def test_each_image_is_judged_once_and_shifts_with_the_orders_of_both_halves(case, halves):
    head, sets, _ = case
    base = Labelled(sets["base"].h_ND[:59], sets["base"].y_N[:59])  # an odd number
    table, given = halves(head, {**sets, "base": base})
    judged, references = [sets["base"].h_ND for sets, _ in given], [reference for _, reference in given]
    assert sorted(map(len, judged)) == [29, 30]
    assert torch.equal(judged[0], references[1]) and torch.equal(judged[1], references[0])
    assert sorted(torch.cat(judged).tolist()) == sorted(base.h_ND.tolist())
    assert table.groupby("image_set")["images"].unique().to_dict() == {"base": [59], "shift": [82]}
    key = ["order", "draw", "image_set", "k"]
    total = sum(pruning.curves(head, *each).set_index(key)["correct"] for each in given)
    pd.testing.assert_series_equal(table.set_index(key)["correct"], total, check_like=True)
    whole = table[(table["k"] == 7) & (table["image_set"] == "base")]["accuracy"]
    assert len(whole) == len(ORDERS)
    assert (whole == heads.accuracy(base.h_ND, head.w_CD, base.y_N, head.b_C)).all()


def test_halves_of_alternating_labels_have_both_labels(halves):
    h_ND, y_N = gaussian(60, 4), torch.arange(60) % 2
    _, given = halves(DIAGONAL, {"base": Labelled(h_ND, y_N)})
    assert all(10 <= sets["base"].y_N.sum() <= 20 for sets, _ in given)


# Effective robustness

LINE = robustness.fit_baseline([0.2, 0.5, 0.6, 0.8], [0.1, 0.35, 0.4, 0.7])
CURVE = robustness.fit_baseline([0.3, 0.4, 0.9], [0.3, 0.2, 0.6])


def counted(**correct: list[int]) -> pd.DataFrame:
    """Counts of two draws out of 10, the second one image worse wherever that is possible."""
    rows = [
        (draw, name, k, max(n - draw, 0))
        for draw in (0, 1)
        for name, counts in correct.items()
        for k, n in enumerate(counts)
    ]
    table = pd.DataFrame(rows, columns=["draw", "image_set", "k", "correct"])
    return table.assign(order="random", images=10)


def test_effective_robustness_at_every_k_is_that_of_its_two_accuracies():
    table = counted(base=[2, 5, 8], v2=[3, 4, 9], sketch=[6, 2, 2])
    shuffled = table.sample(frac=1, random_state=0)
    scored = pruning.scored(shuffled, "base", {"v2": LINE, "sketch": CURVE})
    assert scored.index.tolist() == shuffled.index.tolist()
    accuracy = scored.set_index(["image_set", "draw", "k"])["accuracy"]
    for row in scored.itertuples():
        if row.image_set == "base":
            assert np.isnan(row.er)
            continue
        fit = {"v2": LINE, "sketch": CURVE}[row.image_set]
        acc_in = accuracy["base", row.draw, row.k]
        assert acc_in == pytest.approx((2 + 3 * row.k - row.draw) / 10)
        expected = robustness.effective_robustness(acc_in, row.correct / 10, fit)
        assert row.er == pytest.approx(expected, abs=1e-12)


def test_accuracies_without_a_logit_and_shifts_without_a_baseline_have_no_robustness():
    table = counted(base=[0, 10, 5, 5, 6], v2=[4, 4, 0, 10, 4], objectnet=[4, 4, 4, 4, 4])
    scored = pruning.scored(table, "base", {"v2": LINE, "absent": LINE})
    er = scored[scored["draw"] == 0].set_index(["image_set", "k"])["er"]
    assert er.dropna().index.tolist() == [("v2", 4)]
    assert er["v2", 4] == pytest.approx(robustness.effective_robustness(0.6, 0.4, LINE))
    assert pruning.scored(table, "base")["er"].isna().all()
    hopeless = pruning.scored(counted(base=[0, 0], v2=[0, 1]), "base", {"v2": LINE})
    assert hopeless["er"].isna().all()


def test_curves_score_with_the_fits_they_are_given(case):
    head, sets, reference_ND = case
    fits = {"shift": LINE}
    once, twice = pruning.curves(head, sets, reference_ND, fits), pruning.two_fold(head, sets, fits)
    for table in (once, twice):
        again = pruning.scored(table.drop(columns=["accuracy", "er"]), "base", fits)
        pd.testing.assert_frame_equal(table, again[table.columns])
        assert table.loc[table["image_set"] == "shift", "er"].notna().mean() > 0.5


# How many directions can go


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([0.1, 0.5, 0.79, 0.8], 2),  # exactly one point below is not more than one point
        ([0.1, 0.06, 0.07], 0),  # the same where 0.07 - 0.01 rounds up
        ([0.1, 0.5, 0.7899, 0.8], 3),
        ([0.1, 0.8, 0.5, 0.8], 3),  # good at k = 1 but not from there on
        ([0.9, 0.9, 0.9, 0.8], 0),  # never below the whole head
        ([0.9, 0.2, 0.9, 0.8], 2),
        ([0.8], 0),
    ],
)
def test_directions_kept_by_hand(curve, expected):
    assert pruning.kept(curve) == expected


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=12),
    st.integers(20, 3000),
    st.fractions(0, 1, max_denominator=100),
)
def test_directions_kept_are_those_of_exact_arithmetic(correct, images, loss):
    low = [k for k, n in enumerate(correct) if Fraction(n, images) < Fraction(correct[-1], images) - loss]
    assert pruning.kept(np.array(correct) / images, float(loss)) == (low[-1] + 1 if low else 0)


def test_prunable_is_a_share_of_each_curve_in_whatever_order_its_rows_are():
    up, bent = [0.1, 0.5, 0.79, 0.8, 0.8], [0.1, 0.84, 0.5, 0.81, 0.85]
    table = pd.DataFrame(
        {"model": name, "draw": draw, "k": k, "accuracy": a, "er": np.nan, "correct": 100 * a, "images": 100}
        for name, draw, curve in (("b", 0, up), ("a", 1, bent), ("a", 0, bent[::-1]))
        for k, a in enumerate(curve)
    )
    found = pruning.prunable(table.sample(frac=1, random_state=1)).set_index(["model", "draw"])
    assert found.loc[("b", 0)].to_dict() == {
        "full": 0.8, "directions": 4, "kept 1": 2, "prunable 1": 0.5, "kept 2": 2, "prunable 2": 0.5,
        "kept 5": 2, "prunable 5": 0.5,
    }  # fmt: skip
    assert found.loc[("a", 1), ["full", "kept 1", "kept 2", "kept 5"]].tolist() == [0.85, 4, 4, 3]
    assert found.loc[("a", 0), ["full", "kept 1", "prunable 1"]].tolist() == [0.1, 0, 1]
    some = pruning.prunable(table, losses=(0.005, 0.3))
    assert [column for column in some if "kept" in column] == ["kept 0.5", "kept 30"]
    assert some.set_index(["model", "draw"]).loc[("a", 1), "kept 30"] == 3


# Stored form


def test_wide_and_long_undo_each_other_also_through_a_file(case, tmp_path):
    head, sets, reference_ND = case
    table = pruning.curves(head, sets, reference_ND)
    stored = pd.concat([pruning.wide(table).assign(model=name, seed=1) for name in ("x", "y")])
    assert len(stored) == 2 * 8 and {"k", "base: random", "shift: images"} < set(stored)
    stored.to_csv(tmp_path / "stored.csv", index=False)
    mean = table.groupby(["image_set", "order", "k"])[["correct", "images", "accuracy"]].mean().sort_index()
    for read in (stored, pd.read_csv(tmp_path / "stored.csv")):
        tall = pruning.long(read)
        assert set(tall) == {"model", "seed", "image_set", "order", "k", "correct", "images", "accuracy"}
        for _, rows in tall.groupby("model"):
            back = rows.set_index(["image_set", "order", "k"]).sort_index()[mean.columns]
            pd.testing.assert_frame_equal(back, mean, check_dtype=False)


# Bad input

HEAD = LinearHead(gaussian(4, 6), None, "pre")
GOOD = {"base": Labelled(gaussian(9, 6, 1), torch.arange(9) % 4)}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pruning.kept([]), r"expected accuracies at k = 0..K, found \(0,\)"),
        (lambda: pruning.kept(np.ones((2, 3))), r"expected accuracies at k = 0..K, found \(2, 3\)"),
        (lambda: pruning.curves(HEAD, GOOD, gaussian(9, 5)), "features: expected 6 coordinates, found 5"),
        (lambda: pruning.curves(HEAD, GOOD, torch.zeros(2, 6)), "found zeros in row 0"),
        (lambda: pruning.curves(HEAD, GOOD, GOOD["base"].h_ND * torch.nan), "expected finite numbers"),
        (
            lambda: pruning.curves(HEAD, {"base": Labelled(gaussian(9, 6), torch.arange(9))}, gaussian(9, 6)),
            r"labels: expected 0..3, found 0..8",
        ),
        (
            lambda: pruning.curves(HEAD._replace(b_C=torch.zeros(3)), GOOD, gaussian(9, 6)),
            r"bias: expected 4 finite numbers, found \(3,\)",
        ),
        (
            lambda: pruning.two_fold(HEAD, {"base": Labelled(gaussian(1, 6), torch.zeros(1).long())}),
            r"expected a non-empty matrix \(images x features\), found \(0, 6\)",
        ),
        (lambda: pruning.plans(torch.ones(3, 6), gaussian(9, 6)), "rows that differ, found 3 equal rows"),
        (lambda: pruning.outliers(torch.ones(2, 6)), "constant rows"),
    ],
)
def test_bad_input_is_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_only_the_orders_wanted_are_followed(case):
    head, sets, reference_ND = case
    every = pruning.curves(head, sets, reference_ND)
    some = pruning.curves(head, sets, reference_ND, orders=("importance", "centred"))
    wanted = every[every["order"].isin(("importance", "centred"))].reset_index(drop=True)
    pd.testing.assert_frame_equal(some, wanted)
