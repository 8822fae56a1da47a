"""References of a scan, how often rules are right about families they have not seen, and the verdict."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from featurelens import paths, scan_evidence, scan_references, scan_verdict

MAIN = "outlier coordinates"
CLIP = {"outliers": 1, "kurtosis": 87.0, "top_share": 0.96, "kurtosis_gaussian": 3.0, "leaders": 1}
PLAIN = {"outliers": 0, "kurtosis": 3.1, "top_share": 0.05, "kurtosis_gaussian": 3.0, "leaders": 300}
BOTH = {"kurtosis_low": 86.0, "kurtosis_high": 88.0, "images": 500}


def made(robust, fragile, world="real", per_family=2):
    """Families of which robust ones have an outlier and a kurtosis of 20 and more, others neither."""
    rows = []
    for state, count in (("robust", robust), ("fragile", fragile)):
        for family in range(count):
            for model in range(per_family):
                big = state == "robust"
                rows.append(
                    {
                        "name": f"{state}{family}/{model}",
                        "world": world,
                        "family": f"{state}{family}",
                        "label": f"{state}{family}-{model}",
                        "regime": "clip-web" if big else "supervised",
                        "side": "image",
                        "described": "made up",
                        "er": 30.0 if big else 0.5,
                        "kurtosis": (20.0 if big else 3.0) + model + 0.1 * family,
                        "outliers": int(big),
                        "outlier_share": 0.8 if big else 0.02 + 0.01 * family,
                    }
                )
    return pd.DataFrame(rows)


# References


def test_shipped_table_is_what_the_stored_results_give():
    shipped, collected = scan_references.table(), scan_references.collect()
    pd.testing.assert_frame_equal(shipped, collected, rtol=1e-9, check_dtype=False)
    assert shipped["name"].is_unique and len(shipped) == 41


def test_shipped_numbers_are_those_of_the_chapters():
    results = paths.data() / "results"
    kurtosis = pd.read_csv(results / "02-published-kurtosis.published.csv").set_index("name")
    signatures = pd.read_csv(results / "05-published-signatures.published.csv").set_index("features")
    small = pd.read_csv(results / "05-miniature-signatures.miniature.csv").set_index("model")
    for row in scan_references.table().itertuples():
        if row.world == "miniature":
            own = small.loc[row.label]
            assert (row.family, row.er) == (own["regime"], pytest.approx(own["er"]))
            assert row.outlier_share == pytest.approx(own["outlier_share"])
        elif row.name in signatures.index:
            own = signatures.loc[row.name]
            family = own["family"].replace("EfficientNet", "supervised on ImageNet-1k")
            assert (row.family, row.er) == (family, pytest.approx(own["er"]))
            assert row.kurtosis == pytest.approx(own["kurtosis"])
        else:
            assert np.isnan(row.er) and row.kurtosis == pytest.approx(kurtosis.loc[row.name, "kurtosis"])
        if row.name in kurtosis.index:
            named = kurtosis.loc[row.name, "outliers"]
            assert row.outliers == (0 if named == "none" else len(str(named).split()))
        assert len(row.commit) >= 10 and row.computed_on.startswith("20") and row.source.startswith("02-")


def test_results_of_the_paper_s_scale_join_where_they_are_stored(tmp_path, monkeypatch):
    models = ["openai/ViT-B-32", "laion2b/ViT-B-32", "timm/resnet50.a1_in1k", "mine/a"]
    regimes = ["clip-web", "clip-web", "supervised", "own"]
    facts = {"scale": "paper", "source": "made", "hardware": "none", "seconds": 1.0}
    kurtosis = pd.DataFrame({"model": models, "regime": regimes, "point": "joint"}).assign(
        images=50_000, kurtosis=[60.0, 20.0, 8.0, 4.0], top_share=[0.5, 0.4, 0.1, 0.05]
    )
    kurtosis["outliers"] = ["133 312", "7", "none", "none"]
    elsewhere = kurtosis.assign(point="pre", kurtosis=3.0, outliers="none")
    measured = pd.concat([kurtosis, elsewhere]).assign(computed_on="2030-01-01", commit="aaaaaaaaaa", **facts)
    signatures = kurtosis[["model", "regime", "point"]].assign(
        er=[27.0, 25.0, 0.5, np.nan], computed_on="2030-01-02", commit="bbbbbbbbbb", **facts
    )
    before = scan_references.collect()
    measured.to_csv(tmp_path / "02-paper-kurtosis.paper.csv", index=False)
    monkeypatch.setenv("FEATURELENS_RESULTS", str(tmp_path))
    pd.testing.assert_frame_equal(scan_references.collect(), before)  # one of the two tables is not enough
    signatures.to_csv(tmp_path / "05-paper-signatures.paper.csv", index=False)
    collected = scan_references.collect()
    added = collected[~collected["name"].isin(before["name"])]
    assert len(collected) == len(before) + 4 and list(added["name"]) == [f"paper/{each}" for each in models]
    assert list(added["family"]) == ["CLIP", "clip-web on LAION-2B", "supervised on ImageNet-1k", "mine/a"]
    assert list(added["kurtosis"]) == [60, 20, 8, 4] and list(added["outliers"]) == [2, 1, 0, 0]
    assert set(added["described"]) == {"50,000 ImageNet images"} and (added["world"] == "real").all()
    assert set(added["commit"]) == {"aaaaaaaaaa, bbbbbbbbbb"}
    families = [each.family for each in scan_evidence.record(collected, MAIN, "real").outcomes]
    assert {"CLIP", "clip-web on LAION-2B", "supervised on ImageNet-1k"} < {
        *families
    } and "mine/a" not in families


def test_robust_is_above_every_supervised_network_of_chapter_5():
    towers = pd.read_csv(paths.data() / "results" / "05-published-towers.published.csv").groupby("kind")["er"]
    assert towers.max()["supervised"] < scan_references.robust_from() < towers.min()["encoder"]
    assert list(scan_references.rules().index) == [MAIN, "kurtosis", "share of one coordinate"]
    assert scan_references.rules()["cut"].isna().tolist() == [False, True, True]


# Evidence


def test_cut_is_half_way_in_the_gap():
    rows = scan_evidence.known(made(3, 3), "real")
    below, above = rows[~rows["robust"]]["kurtosis"].max(), rows[rows["robust"]]["kurtosis"].min()
    assert scan_evidence.cut(rows, "kurtosis") == pytest.approx(np.sqrt(below * above))


def test_many_models_of_a_family_weigh_as_one():
    families = {"a": (True, [20.0]), "b": (True, [20.0]), "c": (True, [2.0] * 40)}
    families |= {"d": (False, [1.0]), "e": (False, [10.0]), "f": (False, [10.0])}
    rows = [(name, robust, x) for name, (robust, values) in families.items() for x in values]
    table = pd.DataFrame(rows, columns=["family", "robust", "kurtosis"])
    # By families: two of three and all of three are right above; by models a cut below c would look better.
    assert scan_evidence.cut(table, "kurtosis") == pytest.approx(np.sqrt(10 * 20))


def brute_cut(rows, column):
    """Best balanced share of families over a fine grid of cuts."""
    best = 0
    for cut in np.geomspace(rows[column].min() / 2, rows[column].max() * 2, 3001):
        hit = ((rows[column] >= cut) == rows["robust"]).astype(float)
        best = max(best, hit.groupby([rows["robust"], rows["family"]]).mean().groupby(level=0).mean().mean())
    return best


@pytest.mark.parametrize("seed", range(8))
def test_no_other_cut_does_better(seed):
    random = np.random.default_rng(seed)
    table = made(3, 2, per_family=3).assign(kurtosis=lambda t: random.uniform(2, 50, len(t)))
    rows = scan_evidence.known(table, "real")
    cut, best = scan_evidence.cut(rows, "kurtosis"), brute_cut(rows, "kurtosis")
    if cut is None:
        assert best == pytest.approx(0.5)
    else:
        hit = ((rows["kurtosis"] >= cut) == rows["robust"]).astype(float)
        share = hit.groupby([rows["robust"], rows["family"]]).mean().groupby(level=0).mean().mean()
        assert share == pytest.approx(best) and share > 0.5


def test_nothing_is_learned_from_one_kind_or_from_the_opposite():
    rows = scan_evidence.known(made(3, 3), "real")
    assert scan_evidence.cut(rows[rows["robust"]], "kurtosis") is None
    opposite = rows.assign(kurtosis=np.where(rows["robust"], 2.0, 9.0))
    assert scan_evidence.cut(opposite, "kurtosis") is None
    mixed = rows.assign(kurtosis=[2.0, 9.0] * 6)  # half of each kind on either side: no better than guessing
    assert scan_evidence.cut(mixed, "kurtosis") is None


def test_a_family_has_no_say_about_itself():
    table = made(2, 2)
    # Left in, this family would move the cut to its own side; left out, it is judged by the others' cut.
    table.loc[table["family"] == "robust0", "kurtosis"] = 2.0
    record = scan_evidence.record(table, "kurtosis", "real")
    outcome = {each.family: each for each in record.outcomes}
    assert outcome["robust0"].said == "not robust" and not outcome["robust0"].right
    # Two families of one kind: without one of them a cut is still there; with one alone there is none.
    alone = scan_evidence.record(made(1, 2), "kurtosis", "real")
    assert alone.outcomes[0][2:] == ("nothing", False)


def test_a_family_is_right_if_most_of_its_models_are():
    table = made(2, 2, per_family=3)
    for count, right in ((1, True), (2, False)):
        changed = table.copy()
        changed.loc[changed.index[:count], "outliers"] = 0
        [first, *_] = scan_evidence.record(changed, MAIN, "real").outcomes
        assert (first.said, first.right) == ("both", right)


@pytest.mark.parametrize(("right", "n"), [(0, 3), (2, 3), (3, 3), (6, 6), (5, 6), (0, 0)])
def test_interval_is_clopper_and_pearson_s(right, n):
    low = stats.beta.ppf(0.025, right, n - right + 1) if right else 0
    high = stats.beta.ppf(0.975, right + 1, n - right) if right < n else 1
    assert scan_evidence.interval(right, n) == pytest.approx((low, high))


def test_what_the_stored_references_say():
    record_of = {(each.rule, each.world): each for each in scan_evidence.records(scan_references.table())}
    main = record_of[MAIN, "real"]
    assert [(each.family, each.right) for each in main.outcomes] == [
        ("CLIP", True),
        ("EVA-CLIP", False),
        ("supervised on ImageNet-1k", True),
    ]
    assert (main.right, main.low < 0.5) == (2, True)
    assert len(record_of[MAIN, "real, images only"].outcomes) == 2
    small = record_of[MAIN, "miniature"]
    assert {each.family for each in small.outcomes if each.right} == {"clip-captions", "supervised"}
    assert all(each.said == "not robust" for each in small.outcomes)
    assert all(record.low < 0.5 for record in record_of.values())


# Words


@pytest.mark.parametrize("values", [CLIP, PLAIN, {**PLAIN, "kurtosis": 17.0}])
def test_there_is_no_verdict_from_the_stored_references(values):
    found = scan_verdict.verdict({**values, **BOTH})
    assert not found.supported and found.says is None
    assert (
        "does not support a verdict" in found.sentences[-1]
        and "3 independent families" in found.sentences[-1]
    )
    words = " ".join(found.sentences)
    assert "right for 2 of 3, 95% interval 9% to 99%; wrong for EVA-CLIP (robust)" in words
    assert "right for 2 of 5" in words and "clip-web (robust)" in words
    assert not any("this model would be" in sentence for sentence in found.sentences)
    assert json.dumps(found.limits)


def test_words_name_the_sign_and_its_counter_examples():
    with_one, without = (scan_verdict.verdict({**values, **BOTH}) for values in (CLIP, PLAIN))
    sparse = scan_verdict.verdict({**PLAIN, **BOTH, "kurtosis": 17.26})
    assert "one outlier coordinate, and 29.0 times" in with_one.sentences[0]
    assert "no sign" in without.sentences[0] and "300 coordinates take turns" in sparse.sentences[0]
    assert "(CLIP): 1 of 1" in with_one.sentences[3]
    assert "(EVA-CLIP, supervised on ImageNet-1k): 1 of 2" in without.sentences[3]
    assert "with random weights already, as in VideoCLIP: compare" in with_one.limits[1]
    assert "EVA-CLIP, clip-web (miniature), supervised-web (miniature)" in without.limits[1]
    assert "4 are of images" in with_one.limits[2] and "Finetuned: 0" in with_one.limits[2]
    assert "like these 500 the mean kurtosis is 86 to 88 (95% interval)" in with_one.limits[3]
    assert "two outlier" not in with_one.sentences[0]
    half = scan_verdict.verdict({**PLAIN, **BOTH, "kurtosis": 17.26, "top_share": 0.95}).sentences[0]
    assert "95% of it from one coordinate" in half and "take turns" not in half
    assert all(standing.says == "nothing" for standing in without.standings)
    assert "2 outlier coordinates" in scan_verdict.verdict({**CLIP, **BOTH, "outliers": 2}).sentences[0]


def test_a_reference_recognises_itself():
    row = scan_references.table().set_index("name").loc["clip-b16/coco-images"]
    own = {**CLIP, **BOTH, "kurtosis": row["kurtosis"], "top_share": row["outlier_share"]}
    assert "one of the references: OpenAI ViT-B/16, 500 COCO images" in scan_verdict.verdict(own).limits[-1]
    small = scan_references.table().set_index("name").loc["miniature/supervised-resnet-s0"]
    own = {**PLAIN, **BOTH, "kurtosis": small["kurtosis"], "top_share": small["outlier_share"]}
    assert "the references: supervised-resnet-s0, base-val" in scan_verdict.verdict(own).limits[-1]
    assert not any("one of the references" in line for line in scan_verdict.verdict({**CLIP, **BOTH}).limits)


@pytest.mark.parametrize(("values", "says"), [(CLIP, "robust"), (PLAIN, "not robust")])
def test_six_families_that_agree_would_support_one(values, says):
    few, enough = made(3, 2), made(3, 3)
    assert not scan_verdict.verdict({**values, **BOTH}, few).supported
    found = scan_verdict.verdict({**values, **BOTH}, enough)
    assert found.supported and found.says == says
    assert found.sentences[-1].endswith(f"this model would be {says}. It is a hint, and no test.")
    assert [standing.says for standing in found.standings] == [says] * 3
    # A rule that calls everything robust is right about nearly all where nearly all are: that is no evidence.
    lopsided = made(9, 1).assign(outliers=1)
    [record] = [r for r in scan_evidence.records(lopsided) if (r.rule, r.world) == (MAIN, "real")]
    assert record.right == 9 and record.low > 0.5 and not record.supported
    words = scan_verdict.verdict({**values, **BOTH}, lopsided)
    assert words.says is None and "not right about most robust families and about" in words.sentences[-1]
    wrong = pd.concat([enough, made(0, 1).assign(family="odd", label="odd", outliers=1)])
    assert not scan_verdict.verdict({**values, **BOTH}, wrong).supported
