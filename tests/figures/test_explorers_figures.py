"""Both explorers as they are written: complete without scripts, numbers as computed, nothing fetched."""

import base64
import json
import re
from functools import partial
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score

from featurelens import concepts, explorers
from featurelens.checks import UnknownNameError
from featurelens.concepts import Labels
from featurelens.figures.concept_browser import browser
from featurelens.figures.kurtosis_explorer import explorer, signed

N, P = 200, 40
VIEWS = {"first & <b>": 7, "second": 12}
NAMES = ["red", "r<i>&", "cat", "sea"]
KINDS = ["color", "color", "object", "zeal"]


def features(width, seed):
    h_ND = torch.randn(N, width, generator=torch.Generator().manual_seed(seed))
    h_ND[:, 3] += 6
    return h_ND


FEATURES = {name: features(width, seed) for seed, (name, width) in enumerate(VIEWS.items())}
SHEET = explorers.sheet(
    [Image.new("RGB", (4, 4), (n, 0, 0)) for n in range(P)], [f"a <{n}>" for n in range(P)]
)
TABLE = explorers.coordinate_table(FEATURES)
SCORES = {name: explorers.standard_scores(h_ND)[:P] for name, h_ND in FEATURES.items()}
PRESENT = torch.rand(N, 4, generator=torch.Generator().manual_seed(9)) < 0.4
PRESENT[:, 2] = FEATURES["second"][:, 3] < 5.8  # a direction detects this one from its lowest scores
JUDGED = Labels(NAMES, KINDS, PRESENT, torch.ones(N, 4, dtype=torch.bool), [])
SEARCHES = {
    name: explorers.search(h_ND, torch.eye(h_ND.shape[1]), JUDGED, P) for name, h_ND in FEATURES.items()
}

kurtosis = partial(explorer, TABLE, SCORES, SHEET, "Caption <&>", "Note <&>")
browsed = partial(browser, SEARCHES, JUDGED, SHEET, "Caption <&>", "cat", "Note <&>")


def tree(made):
    """The figure; parsing fails when a tag is left open or a value is not escaped."""
    return ElementTree.fromstring(re.search("<figure.*</figure>", made._repr_html_(), re.S)[0])


def data(made):
    return json.loads(tree(made).find("script").text)


def text(element):
    return " ".join("".join(element.itertext()).split())


def numpy_view(name):
    h_ND = FEATURES[name].double().numpy()
    z_ND = (h_ND - h_ND.mean(1, keepdims=True)) / h_ND.std(1, keepdims=True)
    fourth_D = (z_ND**4).mean(0)
    return z_ND, fourth_D / fourth_D.sum()


@pytest.mark.parametrize("made", [kurtosis, browsed])
def test_nothing_is_fetched_and_nothing_can_end_the_data(made):
    markup = made()._repr_html_()
    assert not re.search(r"https?:|@import", markup)
    assert set(re.findall(r"url\(\"?(\w+:)", markup)) == {"data:"} and "src=" not in markup
    assert markup.count("</script>") == 2 and "<b>" not in markup and "<i>&" not in markup
    assert markup == made()._repr_html_()


@pytest.mark.parametrize("made", [kurtosis, browsed])
def test_controls_are_named_and_hidden_until_the_script_runs(made):
    root = tree(made())
    assert root.find("div[@class='fl-controls']").get("hidden")
    assert "scripts" in text(root.find("p[@class='fl-hint']"))
    for label in root.iter("label"):
        assert text(label.find("span")) and (
            label.find("select") is not None or label.find("input") is not None
        )
    assert root.find(".//input").get("type") == "number"
    assert text(root.find("figcaption")) == "Caption <&>" and "Note <&>" in text(root)
    assert root.find("output").get("aria-live") == "polite"


@pytest.mark.parametrize("made", [kurtosis, browsed])
def test_pictures_do_not_need_the_figures_id(made):
    markup = made()._repr_html_()
    [name] = re.findall(
        r'\[data-sheet="([\w-]+)"\] \.fl-pic {background-image: url\("data:image/webp', markup
    )
    assert tree(made()).get("data-sheet") == name and f"#{name} " not in markup


def test_kurtosis_shows_the_coordinate_with_the_largest_share():
    root, (z_ND, share_D) = tree(kurtosis()), numpy_view("first & <b>")
    top, leads = int(share_D.argmax()), (abs(z_ND).argmax(1) == share_D.argmax()).mean()
    assert text(root.find("output")) == (
        f"first & <b>: coordinate {top} has {100 * share_D[top]:.1f} % of the kurtosis and lies furthest "
        f"from the mean in {100 * leads:.1f} % of the images; by the definition "
        f"{'an' if ((z_ND[:, top] ** 4) >= 21).mean() >= 0.5 else 'not an'} outlier coordinate."
    )
    values = [text(row.find("td")) for row in root.find("table").iter("tr")]
    assert values[0] == f"{100 * share_D[top]:.1f} %"
    assert values[1] == f"{np.median(abs(z_ND[:, top])):.2f}"
    assert values[5] == f"+{z_ND[:, top].mean():.2f} ± {z_ND[:, top].std():.2f}"
    for ol, order in zip(
        root.iter("ol"), (np.argsort(-z_ND[:P, top]), np.argsort(z_ND[:P, top])), strict=True
    ):
        labels = [span.get("aria-label") for span in ol.iter("span") if span.get("role") == "img"]
        assert labels == [f"a <{n}>" for n in order[:8]]
        shown = [text(span) for span in ol.iter("span") if span.get("class") == "fl-below"]
        assert [float(z.replace("−", "-")) for z in shown] == pytest.approx(z_ND[order[:8], top], abs=0.0501)


def test_kurtosis_data_are_numpys_for_every_coordinate():
    for view in data(kurtosis())["views"]:
        z_ND, share_D = numpy_view(view["name"])
        assert view["heights"][1] == pytest.approx(100 * share_D, abs=0.0051)
        assert view["named"][1] == np.argsort(-share_D)[:3].tolist()
        assert all(top >= max(values) for top, values in zip(view["tops"], view["heights"], strict=True))
        for j in range(z_ND.shape[1]):
            order = np.argsort(z_ND[:P, j])
            assert view["ends"][j] == [order[::-1][:8].tolist(), order[:8].tolist()]
            assert np.array(view["scores"][j]) / 10 == pytest.approx(z_ND[view["ends"][j], j], abs=0.0501)


def test_the_chart_says_what_it_shows():
    picture = next(svg for svg in tree(kurtosis()).iter("svg") if svg.get("role") == "img")
    assert picture.get("aria-label").startswith("Bar chart of 7 coordinates of first & <b>: distance from")
    bars = [rect for rect in picture.iter("rect")]
    top = data(kurtosis())["views"][0]["tops"][0]
    heights = [float(bar.get("height")) / 1000 * top for bar in bars]
    assert heights == pytest.approx(TABLE["distance"][:7].tolist(), abs=0.002 * top)
    assert sum("fl-on" in bar.get("class") for bar in bars) == 1


def test_the_browser_shows_the_best_direction_as_scikit_learn_finds_it():
    root, h_ND = tree(browsed()), FEATURES["first & <b>"].numpy()
    ap = np.array([[average_precision_score(PRESENT[:, 2], s * x_N) for x_N in h_ND.T] for s in (1, -1)])
    sense, k = np.unravel_index(ap.argmax(), ap.shape)
    way = ("highest", "lowest")[sense]
    order = np.argsort(-h_ND[:P, k] if sense == 0 else h_ND[:P, k])[:12]
    hits = int(PRESENT[order, 2].sum())
    verdict = "detected" if ap.max() >= 0.9 else "not detected"
    said = text(root.find("output"))
    assert said.startswith(
        f"cat, direction {k} of first & <b>, {way} scores first: average precision "
        f"{np.floor(1000 * ap.max()) / 1000:.3f}, {verdict}. By luck the best of 7 has 0."
    )
    assert (
        f"in {hits} of the first 12 pictures and in {100 * PRESENT[:P, 2].double().mean():.0f} % of all"
        in said
    )
    items = list(root.find("ol"))
    for item, row in zip(items, order, strict=True):
        shows = bool(PRESENT[row, 2])
        assert item[0].get("aria-label") == f"a <{row}>; {'shows' if shows else 'does not show'} cat"
        assert (item.get("class") == "fl-shows") == shows and text(item[1]) == ("✓ yes" if shows else "– no")
    best = [
        (int(text(row[0])), float(text(row[3])))
        for row in root.find(".//table[@data-list='directions']/tbody")
    ]
    expected = np.argsort(-ap.max(0), kind="stable")[:5]
    assert best == [(j, np.floor(1000 * ap[:, j].max()) / 1000) for j in expected]
    found = {text(row[0]) for row in root.find(".//table[@data-list='concepts']/tbody")}
    assert found == set(NAMES)


def test_browser_data_are_the_searches():
    content = data(browsed())
    assert content["names"] == NAMES and content["unit"] == 10**9
    assert content["present"] == [PRESENT[:P, t].nonzero()[:, 0].tolist() for t in range(4)]
    for view, (found, luck_T, scores_PK) in zip(content["views"], SEARCHES.values(), strict=True):
        packed = np.frombuffer(base64.b64decode(view["ap"]), "<i4").reshape(found.ap_KT.shape)
        assert abs(packed) / 1e9 == pytest.approx(found.ap_KT.numpy(), abs=1.1e-9)
        assert ((packed > 0) == (found.ap_2KT[0] >= found.ap_2KT[1]).numpy()).all()
        assert [float(luck) for luck in view["luck"]] == pytest.approx(luck_T.numpy(), abs=0.00051)
        for k in range(view["width"]):
            order = np.argsort(scores_PK[:, k].numpy())
            assert view["ends"][k] == [order[::-1][:12].tolist(), order[:12].tolist()]


def test_a_direction_below_the_threshold_does_not_look_like_it():
    shown = [text(row[3]) for row in tree(browsed(threshold=0.97)).iter("tr") if len(row) == 5]
    ticks = [text(row[4]) for row in tree(browsed(threshold=0.97)).iter("tr") if len(row) == 5]
    assert all(
        (float(ap) >= 0.97) == (tick == "✓") for ap, tick in zip(shown, ticks, strict=True) if ap != "AP"
    )


def test_concepts_are_grouped_in_brodens_order():
    groups = [(group.get("label"), [text(o) for o in group]) for group in tree(browsed()).iter("optgroup")]
    assert groups == [("color", ["red", "r<i>&"]), ("object", ["cat"]), ("zeal", ["sea"])]
    assert [o.get("value") for o in tree(browsed()).iter("option") if o.get("selected")] == ["2"]


@pytest.mark.parametrize(("value", "shown"), [(1.26, "+1.3"), (-0.04, "0.0"), (0.0, "0.0"), (-2, "−2.0")])
def test_signs(value, shown):
    assert signed(value, 1) == shown


ONE = {"first & <b>": SCORES["first & <b>"]}
few = explorers.Sheet(SHEET.uri, SHEET.words[:5], 5)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: explorer(TABLE.drop(columns="leads"), SCORES, SHEET, "c"), r"missing \['leads'\]"),
        (lambda: explorer(TABLE[:0], SCORES, SHEET, "c"), "at least one coordinate, found none"),
        (lambda: explorer(TABLE.drop(index=2), SCORES, SHEET, "c"), r"each coordinate of 0\.\.5 once"),
        (lambda: explorer(TABLE, ONE, SHEET, "c"), "expected those of second, found"),
        (
            lambda: explorer(TABLE, SCORES, few, "c"),
            r"expected \(5, 7\) \(pictures x coordinates\), found \(40, 7\)",
        ),
        (lambda: browser({}, JUDGED, SHEET, "c"), "at least one network, found none"),
        (lambda: browser(SEARCHES, JUDGED, few, "c"), r"expected scores \(5, 7\)"),
        (lambda: browser(SEARCHES, JUDGED._replace(names=NAMES[:3]), SHEET, "c"), "the 3 judged concepts"),
        (
            lambda: browser(SEARCHES, JUDGED._replace(present_NT=PRESENT[:9]), SHEET, "c"),
            "labels of 40 pictures",
        ),
        (lambda: browser(SEARCHES, JUDGED, SHEET, "c", "cats"), "unknown concept 'cats': did you mean cat"),
    ],
)
def test_bad_input_is_a_one_line_error(made, message):
    with pytest.raises((ValueError, UnknownNameError), match=message) as caught:
        made()
    assert "\n" not in str(caught.value)


def test_a_threshold_is_the_books_by_default():
    assert data(browsed())["threshold"] == round(concepts.THRESHOLD * 10**9)
