"""Words on directions: names belong to the rows, facts and scores against independent references."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from featurelens import heads, published_features, words
from featurelens.checks import UnknownNameError
from featurelens.scales import Unreachable

IMAGENET = ["clip-b32/imagenet-photo", "clip-b32/imagenet-unknown"]


@pytest.fixture(scope="module")
def loadings():
    cached = {}

    def load(name):
        try:
            return cached.setdefault(name, words.loadings(name)) if name not in cached else cached[name]
        except Unreachable as error:
            pytest.skip(f"needs a mirror folder or the network: {error}")

    return load


def rows(name):
    try:
        return heads.unit(published_features.load(name).double())
    except Unreachable as error:
        pytest.skip(f"needs a mirror folder or the network: {error}")


@pytest.mark.parametrize("name", IMAGENET)
def test_rows_of_imagenet_are_equal_exactly_where_the_words_are(loadings, name):
    w_CD = rows(name)
    same_CC = (w_CD @ w_CD.T > 1 - 1e-6).numpy()
    word, code = np.unique(loadings(name)["word"].str.lower(), return_inverse=True)
    assert (same_CC == (code[:, None] == code)).all() and len(word) == 997
    # CLIP's own list of names would make other rows equal.
    assert not same_CC[657, 744] and not same_CC[836, 837]


def test_rows_of_lvis_follow_the_ids(loadings):
    last = loadings("clip-b32/lvis")["word"].str.replace(r"_?\(.*", "", regex=True).str.split("_").str[-1]
    w_CD = rows("clip-b32/lvis")
    centred_CD = heads.unit(w_CD - w_CD.mean(0))
    cos_CC = (centred_CD @ centred_CD.T).numpy()

    def cosine(last):
        same_CC = (last[:, None] == last) & ~np.eye(len(last), dtype=bool)
        return cos_CC[same_CC].mean()

    last = np.unique(last, return_inverse=True)[1]
    # The names end in the same word: beer_bottle, wine_bottle. One row off, and they are strangers.
    assert cosine(last) > 0.35
    assert max(cosine(np.roll(last, shift)) for shift in (-1, 1)) < 0.1


@pytest.mark.parametrize("name", words.names())
def test_facts_of_each_head(loadings, name):
    from open_clip import tokenize

    table = loadings(name)
    assert len(table) == len(rows(name)) and table["word"].notna().all()
    # Two of the 77 places are start and end; empty places are 0.
    assert table["tokens"].tolist() == ((tokenize(list(table["word"])) > 0).sum(1) - 2).tolist()
    assert (table["letters"] <= table["word"].str.len()).all() and table["words"].min() == 1


def test_some_known_facts(loadings):
    imagenet = loadings(IMAGENET[0])
    assert imagenet["kind"].value_counts().to_dict() == {"no animal": 602, "other animal": 280, "dog": 118}
    shark = imagenet.loc[2]
    assert shark["word"] == "great white shark" and (shark["letters"], shark["words"]) == (15, 3)
    assert set(imagenet.loc[[151, 268], "word"]) == {"Chihuahua", "Mexican hairless"}
    lvis = loadings("clip-b32/lvis")
    # LVIS's own definition: rare up to 10 images, common up to 100.
    assert (lvis["frequency"] == pd.cut(lvis["images"], [0, 10, 100, 1e9], labels=list("rcf"))).all()


def test_mentions_count_texts_not_occurrences():
    texts = ["A Dog and a dog.", "a hot dog, twice: hot dog", "wine-glasses; wine glass", "T-shirt", ""]
    found = words.mentions(["dog", "hot_dog", "wine_glass", "glass_(drink)", "t-shirt", "dogs", "()"], texts)
    assert found == [2, 1, 1, 1, 1, 0, 0]


def test_scores_are_projections_of_rows_of_length_one():
    generator = torch.Generator().manual_seed(0)
    w_CD = torch.randn(40, 60, generator=generator) + 20 * torch.eye(60)[7]
    found = words.scores(w_CD * torch.rand(40, 1, generator=generator).add(0.5))
    unit_CD = (w_CD / w_CD.norm(dim=1, keepdim=True)).double().numpy()
    v_KD = np.linalg.svd(unit_CD, full_matrices=False)[2]
    assert list(found.columns) == ["v_1", "v_2", "v_3", "v_40", "coordinate 7"]
    for k in (1, 2, 3, 40):
        expected = unit_CD @ v_KD[k - 1]
        sign = np.sign(expected @ found[f"v_{k}"])
        np.testing.assert_allclose(found[f"v_{k}"], sign * expected, atol=1e-6)
    np.testing.assert_allclose(found["coordinate 7"], unit_CD[:, 7], atol=1e-6)


def test_the_last_direction_is_above_rounding_error():
    w_CD = torch.randn(4, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert list(words.scores(torch.cat([w_CD, w_CD])).columns) == ["v_1", "v_2", "v_3", "v_4"]
    assert list(words.scores(torch.eye(2)).columns) == ["v_1", "v_2"]


@pytest.mark.parametrize("name", words.names())
def test_loadings_are_scores_in_standard_deviations(loadings, name):
    table, spread = loadings(name), words.spread(name).set_index("score")
    columns = ["v_1", "v_2", "v_3", "v_512", "coordinate 133", "coordinate 312"]
    assert list(spread.index) == columns == words.score_columns(table)
    np.testing.assert_allclose(table[columns].mean(), 0, atol=1e-9)
    np.testing.assert_allclose(table[columns].std(ddof=0), 1)
    w_CD = rows(name)
    j = w_CD[:, 133].numpy()
    np.testing.assert_allclose(table["coordinate 133"], (j - j.mean()) / j.std(), atol=1e-9)
    assert spread.loc["coordinate 133"].tolist() == pytest.approx([j.mean(), j.std()])
    # A word's loading on the mean direction is its mean cosine with all words, up to scale.
    assert np.corrcoef(table["v_1"], (w_CD @ w_CD.T).mean(1))[0, 1] > 0.99


def test_extremes_are_both_ends_and_equal_words_stand_once():
    table = pd.DataFrame({"word": list("abcdeff"), "v_1": [3, -2, 0, 1, -1, 5, 5]})
    found = words.extremes(table, "v_1", 2)
    assert found.to_numpy().tolist() == [
        ["v_1", "high", "f", 5],
        ["v_1", "high", "a", 3],
        ["v_1", "low", "e", -1],
        ["v_1", "low", "b", -2],
    ]
    with pytest.raises(UnknownNameError, match="unknown score 'v_2': did you mean v_1"):
        words.extremes(table, "v_2")
    with pytest.raises(ValueError, match="half of 6 different words, found 4"):
        words.extremes(table, "v_1", 4)


def test_an_unknown_head_is_one_line_with_the_nearest():
    with pytest.raises(UnknownNameError, match="'clip-b32/lviss': did you mean clip-b32/lvis"):
        words.facts("clip-b32/lviss")


def test_ids_with_gaps_are_refused(tmp_path, monkeypatch):
    file = tmp_path / "names.json"
    file.write_text(json.dumps([{"id": i, "name": "x", "image_count": 1, "frequency": "r"} for i in (1, 3)]))
    monkeypatch.setattr(words.published, "fetch", lambda key: file)
    with pytest.raises(ValueError, match=r"names.json: expected ids 1\.\.2, found 1\.\.3"):
        words.facts("clip-b32/lvis")


def test_what_the_ends_are(loadings):
    photo = loadings(IMAGENET[0])
    ends = {score: words.extremes(photo, score) for score in ("v_1", "coordinate 133", "coordinate 312")}
    assert ends["v_1"]["word"].iloc[[0, -1]].tolist() == ["web site", "EntleBucher"]
    # Both outlier coordinates order words alike, and nearly as the mean direction does.
    assert photo["coordinate 133"].corr(photo["coordinate 312"]) > 0.9999
    assert photo["coordinate 133"].corr(photo["v_1"]) == pytest.approx(0.99, abs=0.01)
    other = loadings(IMAGENET[1])
    assert photo["v_1"].corr(other["v_1"]) == pytest.approx(0.962, abs=0.002)
