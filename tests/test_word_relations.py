"""Relations of scores and facts: against scipy and plain regression on ranks, and the published heads."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import f_oneway, rankdata, spearmanr

from featurelens import word_relations, words
from featurelens.checks import UnknownNameError
from featurelens.scales import Unreachable


def table(n=300, seed=0):
    generator = np.random.default_rng(seed)
    tokens, captions = generator.integers(1, 8, n), generator.poisson(3, n)
    return pd.DataFrame(
        {
            "word": [f"word {i}" for i in range(n)],
            "kind": generator.choice(list("pqr"), n),
            "letters": tokens * 3 + generator.integers(0, 9, n),
            "tokens": tokens,
            "captions": captions,
            "v_1": -tokens + 2 * generator.normal(size=n),
            "coordinate 5": generator.normal(size=n),
        }
    )


@pytest.fixture(scope="module")
def related():
    frame = table()
    return frame, word_relations.relations(frame).set_index(["score", "measure", "fact"])


FACTS = ["letters", "tokens", "captions"]


def residual(y_N, x_NF):
    x_NF = np.column_stack([np.ones(len(y_N)), x_NF])
    return y_N - x_NF @ np.linalg.lstsq(x_NF, y_N, rcond=None)[0]


def test_values_are_those_of_scipy_and_of_regressions_on_ranks(related):
    frame, found = related
    ranks = frame[[*FACTS, "v_1", "coordinate 5"]].apply(rankdata)
    for score in ("v_1", "coordinate 5"):
        for fact in FACTS:
            rho = spearmanr(frame[score], frame[fact]).statistic
            assert found.loc[(score, "spearman", fact), "value"] == pytest.approx(rho)
            others = ranks[[other for other in FACTS if other != fact]]
            left = [residual(ranks[column].to_numpy(), others) for column in (score, fact)]
            expected = np.corrcoef(left)[0, 1]
            assert found.loc[(score, "partial", fact), "value"] == pytest.approx(expected)
        y_N = ranks[score].to_numpy()
        r2 = 1 - residual(y_N, ranks[FACTS]).var() / y_N.var()
        assert found.loc[(score, "explained", "all"), "value"] == pytest.approx(r2)


def test_intervals_are_as_wide_as_theory_says_and_repeat(related):
    frame, found = related
    assert (found["low"] < found["high"]).all()
    null = found.loc[("coordinate 5", "spearman", "tokens")]
    # Standard error of a rank correlation near 0 is 1 / sqrt(n - 1).
    assert null["high"] - null["low"] == pytest.approx(2 * 1.96 / np.sqrt(299), rel=0.12)
    again = word_relations.relations(frame).set_index(["score", "measure", "fact"])
    pd.testing.assert_frame_equal(found, again)
    assert found.loc[("v_1", "spearman", "tokens"), "high"] < -0.4


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    hits = 0
    for seed in range(40):
        frame = table(100, seed)[["tokens", "coordinate 5"]]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(word_relations, "RESAMPLES", 100)
            row = word_relations.relations(frame, seed).iloc[0]
        hits += row["low"] <= 0 <= row["high"]
    assert 33 <= hits <= 40


def test_groups_are_means_and_a_variance_share():
    frame = table()
    found = word_relations.groups(frame, "kind")
    rows = found[found["score"] == "v_1"].set_index("group")
    by_kind = frame.groupby("kind")["v_1"]
    pd.testing.assert_series_equal(rows["mean"].sort_index(), by_kind.mean(), check_names=False)
    assert rows["words"].sum() == len(frame)
    f = f_oneway(*(part for _, part in by_kind)).statistic
    eta2 = f * 2 / (f * 2 + len(frame) - 3)
    assert rows["between"].tolist() == pytest.approx([eta2] * 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.head(29), "expected at least 30 words, found 29"),
        (lambda frame: frame.assign(captions=0), "captions: expected .* commonest value, found 0"),
        (lambda frame: frame.assign(captions=[1] * 14 + [0] * 286), "found 14; leave the column out"),
        (lambda frame: frame.drop(columns=FACTS), r"expected scores and facts \(letters, "),
        (lambda frame: frame[["tokens"]], "expected scores and facts .* found tokens"),
    ],
)
def test_too_little_to_relate_is_one_line(change, message):
    with pytest.raises(ValueError, match=message) as caught:
        word_relations.relations(change(table()))
    assert "\n" not in str(caught.value)


def test_an_unknown_group_column_is_refused():
    with pytest.raises(UnknownNameError, match="unknown column 'kinds': did you mean kind"):
        word_relations.groups(table(), "kinds")


@pytest.mark.parametrize(
    ("name", "tokens", "captions", "explained"),
    [
        ("clip-b32/imagenet-photo", -0.55, 0.47, 0.38),
        ("clip-b32/imagenet-unknown", -0.59, 0.46, 0.42),
        ("clip-b32/lvis", -0.39, 0.32, 0.25),
    ],
)
def test_the_published_heads(name, tokens, captions, explained):
    try:
        found = word_relations.relations(words.loadings(name)).set_index(["score", "measure", "fact"])
    except Unreachable as error:
        pytest.skip(f"needs a mirror folder or the network: {error}")
    first = found.loc["v_1"]
    assert first.loc[("spearman", "tokens"), "value"] == pytest.approx(tokens, abs=0.006)
    assert first.loc[("spearman", "captions"), "value"] == pytest.approx(captions, abs=0.006)
    assert first.loc[("explained", "all"), "value"] == pytest.approx(explained, abs=0.006)
    # The last direction has nothing to do with any of it.
    last = found.loc["v_512"].loc["spearman"]
    assert (last["value"].abs() < 0.07).all() and ((last["low"] < 0.01) & (last["high"] > -0.01)).all()
