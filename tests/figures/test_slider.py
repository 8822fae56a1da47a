"""The pruning slider: exact at every k, complete without its script, free of anything fetched."""

import base64
import json
import re
import shutil
import subprocess
from functools import partial
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from featurelens import plots
from featurelens.figures import slider as module
from featurelens.figures.slider import slider

LASTS = {"A & B <1>": 7, "C": 250}
ORDERS = ["by importance", "</script><b>"]
SETS = ["base & <i>", "shift 'one'", "shift two, with a name of many letters"]
CHROMIUM = shutil.which("chromium", path="/usr/bin") or shutil.which("chromium")
SWITCHES = """
--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update
--disable-sync --no-first-run --virtual-time-budget=3000 --dump-dom
"""


def table(lasts=LASTS, orders=ORDERS, sets=SETS):
    """Accuracies of 400 images, so that ties of the rounding (0.25 %, 0.75 %) are frequent."""
    draw = np.random.default_rng(0)
    frames = [
        pd.DataFrame({"model": m, "order": o, "image_set": s, "k": range(last + 1)}).assign(
            accuracy=np.sort(draw.integers(0, 236, last + 1)) / 400
        )
        for m, last in lasts.items()
        for o in orders
        for s in sets
    ]
    return pd.concat(frames, ignore_index=True)


TABLE = table()


def figure(frame=TABLE, caption="Heads & <directions>"):
    """The figure as a tree; parsing fails when a tag is left open or a value is not escaped."""
    return ElementTree.fromstring(
        re.search("<figure.*</figure>", slider(frame, caption)._repr_html_(), re.S)[0]
    )


def one(tree, tag, **attributes):
    """The only element with this tag and these attributes."""
    named = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    (found,) = (e for e in tree.iter(tag) if all(e.get(name) == value for name, value in named.items()))
    return found


def printed(model, order, image_set, k, frame=TABLE):
    """An accuracy as a page prints it."""
    row = frame.query("model == @model and order == @order and image_set == @image_set and k == @k")
    return f"{100 * row['accuracy'].item():.1f}"


def test_controls_are_native_named_and_only_shown_by_the_script():
    tree = figure()
    for what, names in (("model", list(LASTS)), ("order", ORDERS)):
        label = next(e for e in tree.iter("label") if e.find(f"select[@data-choice='{what}']") is not None)
        assert label.find("span").text == what.capitalize()
        assert [option.text for option in label.iter("option")] == names
    assert one(tree, "div", class_="fl-controls").get("hidden")
    label = one(tree, "label", class_="fl-k")
    assert label.find("span").text == "directions kept, k"
    bounds = {"min": "0", "max": "7", "step": "1", "value": "7", "type": "range", "hidden": "hidden"}
    given = label.find("input").attrib
    assert bounds.items() <= given.items() and given["aria-valuetext"] == "7 of 7 directions kept"
    assert figure(table({"C": 3}, ["one order"])).find(".//select") is None


def test_markup_is_complete_before_the_script_runs():
    tree, full = figure(), [printed("A & B <1>", ORDERS[0], name, 7) for name in SETS]
    assert tree.find("figcaption").text == "Heads & <directions>"
    first = f"base & <i> {full[0]}\u00a0% (full head {full[0]}\u00a0%)"
    assert (
        one(tree, "output", aria_live="polite").text == f"7 of 7 directions kept (0\u00a0% removed): {first}"
    )
    rows = [["".join(cell.itertext()) for cell in row] for row in tree.find("table/tbody")]
    assert rows == [[name, value, value, "0.0"] for name, value in zip(SETS, full, strict=True)]
    assert "A & B <1>, by importance" in one(tree, "p", class_="fl-hint").text


def test_drawing_says_what_it_is_and_has_a_curve_a_label_and_a_dot_for_each_set():
    picture = one(figure(), "svg", role="img")
    assert picture.get("aria-label") == (
        f"Line chart: accuracy on {', '.join(SETS)} against the number of directions kept, 0 to 7. "
        "Model: A & B <1>. Order: by importance."
    )
    lines = [line.get("points").split() for line in picture.iter("polyline")]
    expected = [
        [f"{k},{-round(10 * float(printed('A & B <1>', ORDERS[0], s, k)))}" for k in range(8)] for s in SETS
    ]
    assert lines == expected
    labels = [text.text for text in picture.iter("text") if text.get("class") == "fl-end"]
    assert labels == [SETS[0], SETS[1], "shift two, with a nam…"]
    assert sum(dot.get("class") == "fl-dot" for dot in picture.iter("circle")) == len(SETS)
    ticks = [[text.text for text in group] for group in picture.iter("g") if group.get("class") == "fl-ticks"]
    assert ticks == [["0", "2", "4", "6", "7"], ["0", "50", "100", "150", "200", "250"]]


def test_image_for_notebooks_that_strip_styles_is_the_same_drawing():
    tree = figure()
    still = one(tree, "img")
    assert still.get("alt") == one(tree, "svg", role="img").get("aria-label")
    image = ElementTree.fromstring(
        base64.b64decode(still.get("src").removeprefix("data:image/svg+xml;base64,"))
    )
    inline = [line.get("points") for line in tree.iter("polyline")]
    assert [line.get("points") for line in image.iter("{http://www.w3.org/2000/svg}polyline")] == inline


def test_long_curves_are_thinned_only_in_the_drawing_and_end_at_k():
    points = next(figure(table({"C": 900})).iter("polyline")).get("points").split()
    assert len(points) <= 201 and points[0].startswith("0,") and points[-1].startswith("900,")


def test_labels_do_not_overlap_and_stay_in_the_order_of_the_curves():
    frame = table({"C": 1}, ["o"], [f"s{n}" for n in range(5)])
    frame.loc[frame["k"] == 1, "accuracy"] = [0.5, 0.51, 0.1, 0.505, 0.5]
    ends = np.array(json.loads(one(figure(frame), "script").text)["ends"][0][0])
    assert np.diff(np.sort(ends)).min() >= module._LABEL - 0.02
    assert list(np.argsort(ends)) == [1, 3, 0, 4, 2]


def test_embedded_numbers_are_the_tables():
    data = json.loads(one(figure(), "script").text)
    assert data["lasts"] == list(LASTS.values()) and data["sets"] == SETS
    for m, model in enumerate(LASTS):
        for o, order in enumerate(ORDERS):
            packed = np.frombuffer(base64.b64decode(data["curves"][m][o]), "<u2").reshape(len(SETS), -1)
            rows = TABLE[(TABLE["model"] == model) & (TABLE["order"] == order)]
            expected = [f"{100 * value:.1f}" for value in rows["accuracy"]]
            assert [f"{value / 10:.1f}" for value in packed.ravel()] == expected


def test_rows_may_come_in_any_order_and_the_same_input_is_the_same_bytes():
    first = slider(TABLE, "t")._repr_html_()
    assert first == slider(TABLE.copy(), "t")._repr_html_()
    within = TABLE.groupby(["model", "order", "image_set"], sort=False, group_keys=False)
    mixed = pd.concat([part.sample(frac=1, random_state=0) for _, part in within])
    assert first == slider(mixed, "t")._repr_html_()


def test_nothing_is_fetched_and_no_name_can_end_the_data():
    markup = slider(TABLE, "t")._repr_html_()
    assert not re.search(r"https?:|@import|url\(", markup)
    assert set(re.findall(r'(?:src|href)="(\w+:)', markup)) == {"data:"}
    assert markup.count("</script>") == 2 and "<b>" not in markup


def test_ids_depend_on_the_content():
    changed = TABLE.assign(accuracy=TABLE["accuracy"].where(TABLE.index != 3, 1))
    names = {figure(frame, c).get("id") for frame, c in ((TABLE, "a"), (TABLE, "b"), (changed, "a"))}
    assert len(names) == 3


def test_three_models_of_a_thousand_directions_are_small():
    frame = table(dict.fromkeys("ABC", 1000), list("uvwxyz"), list("1234"))
    assert len(slider(frame, "t")._repr_html_().encode()) < 300_000


def edit(column, row, value, frame=TABLE):
    """The table with one value changed."""
    return frame.astype({column: object}).assign(**{column: frame[column].where(frame.index != row, value)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: TABLE.drop(columns=["k", "order"]), r"missing \['k', 'order'\]"),
        (lambda: TABLE.iloc[:0], "found none"),
        (partial(edit, "model", 2, None), "model, order, image_set and k in every row"),
        (
            lambda: TABLE.drop(index=3),
            r"each k of 0\.\.7 once, found k = 3 0 times in A & B <1> / by importance / base",
        ),
        (lambda: TABLE.drop(index=7), "found k = 7 0 times"),
        (lambda: pd.concat([TABLE, TABLE.iloc[[3]]]), "found k = 3 2 times"),
        (lambda: TABLE.assign(k=TABLE["k"] - 1), "found k = -1 1 times"),
        (lambda: TABLE.assign(k=TABLE["k"] / 2), "expected integers in k, found float64"),
        (lambda: TABLE[TABLE["k"] == 0], r"each k of 0\.\.1 once, found k = 1 0 times"),
        (lambda: TABLE.assign(accuracy=TABLE["accuracy"] * 100), r"accuracies within 0\.\.1"),
        (partial(edit, "accuracy", 5, None), r"accuracies within 0\.\.1, found nan \(in 1 rows\)"),
        (
            lambda: TABLE[(TABLE["model"] != "C") | (TABLE["order"] != ORDERS[1])],
            "missing C / </script><b> / base",
        ),
        (lambda: table(sets=[f"s{n}" for n in range(9)]), "at most 8 image sets, found 9"),
    ],
)
def test_bad_tables_are_one_line_errors(change, message):
    with pytest.raises(ValueError, match=message) as caught:
        slider(change(), "t")
    assert "\n" not in str(caught.value)


def contrast(one, other):
    """WCAG 2 contrast ratio of two #rrggbb colours."""

    def luminance(colour):
        channels = np.array([int(colour[n : n + 2], 16) for n in (1, 3, 5)]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_colours_are_readable_on_both_grounds_and_dashes_differ():
    pair = r"light-dark\((#\w+), (#\w+)\)"
    named = {
        name: both for name, *both in re.findall(rf"--fl-(\w+): var\(--pst-[\w-]+, {pair}\)", module._STYLE)
    }
    series = re.findall(rf'data-series="\d"\] {{--fl-c: {pair}; --fl-dash: (.+)}}', module._STYLE)
    # The second ground of each side is the book's.
    for side, grounds in enumerate(((named["paper"][0], "#ffffff"), (named["paper"][1], "#121212"))):
        for ground in grounds:
            assert min(contrast(named[name][side], ground) for name in ("ink", "muted")) >= 4.5
            assert min(contrast(colours[side], ground) for colours in series) >= 3
    assert len({dash for *_, dash in series}) == len(series) == module._MOST_SETS
    for (light, *_), own in zip(series, plots.OKABE_ITO, strict=True):
        assert light == own or contrast(own, "#ffffff") < 3


STEP = """
<script>
const root = document.querySelectorAll("figure")[1], [model, order] = root.querySelectorAll("select");
const range = root.querySelector("input"), text = selector => root.querySelector(selector).textContent;
const cells = row => [...row.cells].slice(1).map(cell => cell.textContent);
const seen = [];
for (const m of [0, 1]) for (const o of [0, 1]) {
  [model.value, order.value] = [m, o];
  model.dispatchEvent(new Event("change"));
  for (let k = 0; k <= range.max; k++) {
    range.value = k;
    range.dispatchEvent(new Event("input"));
    seen.push([m, o, k, text("output"), range.getAttribute("aria-valuetext"), text("thead .fl-at"),
      [...root.querySelector("tbody").rows].map(cells),
      root.querySelector(".fl-plot").getAttribute("aria-label"),
      root.querySelector("circle").getAttribute("cx"), root.querySelector("circle").getAttribute("cy")]);
  }
}
range.value = 125;
model.value = 0;
model.dispatchEvent(new Event("change"));
const shown = ["input", ".fl-controls"].every(selector => !root.querySelector(selector).hidden);
const lines = [...root.querySelectorAll("polyline")];
const points = lines.map(line => line.getAttribute("points").split(" ").length);
const result = {seen, shown, top: JSON.parse(text("script")).top, points, share: [range.max, range.value],
  hint: root.querySelector(".fl-hint")};
document.body.innerHTML = `<pre id="result">${btoa(encodeURIComponent(JSON.stringify(result)))}</pre>`;
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_in_a_browser_the_words_and_numbers_follow_the_slider(tmp_path: Path):
    markup = slider(TABLE, "t")._repr_html_()
    page = tmp_path / "page.html"
    # Twice the same object: the second one must be as alive as the first.
    page.write_text(f"<!doctype html><meta charset='utf-8'><body>{markup}{markup}{STEP}", encoding="utf-8")
    command = [CHROMIUM, *SWITCHES.split(), f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()]
    dumped = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    result = json.loads(unquote(base64.b64decode(re.search('id="result">(.+?)<', dumped)[1]).decode()))
    assert result["shown"] and result["hint"] is None and result["points"] == [8] * 3
    # Half of 250 directions kept becomes half of 7, rounded.
    assert result["share"] == ["7", "4"]
    assert len(result["seen"]) == 2 * (8 + 251)
    exact = {(*key, k): f"{100 * value:.1f}" for *key, k, value in TABLE.itertuples(index=False)}
    for m, o, k, words, spoken, at, rows, title, x, y in result["seen"]:
        model, order = list(LASTS)[m], ORDERS[o]
        last = LASTS[model]
        here, full = ([exact[model, order, name, place] for name in SETS] for place in (k, last))
        kept, removed = f"{k} of {last} directions kept", 100 * (last - k) / last
        share = "less than 1" if 0 < removed < 1 else "more than 99" if 99 < removed < 100 else round(removed)
        first = f"{SETS[0]} {here[0]}\u00a0% (full head {full[0]}\u00a0%)"
        assert spoken == kept and words == f"{kept} ({share}\u00a0% removed): {first}"
        assert [row[:2] for row in rows] == [list(both) for both in zip(here, full, strict=True)]
        points = [float(row[2].replace("−", "-")) for row in rows]
        assert np.allclose(points, np.array(here, float) - np.array(full, float))
        assert at == str(k) and title.endswith(f"0 to {last}. Model: {model}. Order: {order}.")
        assert float(x[:-1]) == pytest.approx(100 * k / last)
        assert float(y[:-1]) == pytest.approx(100 - 1000 * float(here[0]) / result["top"])
