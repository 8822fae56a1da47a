"""The first page's figure: drawn from the tour's tables, every model once, and in step with them."""

import re
import xml.etree.ElementTree as ET

import pytest

from featurelens import landing, paths, reference, results


@pytest.fixture(scope="module")
def figure():
    return ET.fromstring(landing.text())


def test_figure_is_in_step():
    assert reference.in_step("landing"), "run: featurelens book sync"


def test_every_model_in_range_is_a_mark_with_its_name(figure):
    scored = results.read("00-how-to-read-sketch", "published")
    shown = scored[scored["acc_shift"].between(0.1, 0.8) & scored["acc_in"].between(0.49, 0.9)]
    for kind, rows in (
        ("base", shown[shown["kind"] == "baseline"]),
        ("tuned", shown[shown["regime"] == "finetuned"]),
        ("clip", shown[shown["regime"] == "clip-web"]),
    ):
        marks = [mark for mark in figure[0] if mark.get("class") == kind and len(mark)]
        assert [mark[0].text for mark in marks] == list(rows["model"]) and len(marks) > 5
        x = [float(re.search(r"\(([\d.]+) ", mark.get("transform"))[1]) for mark in marks]
        order = rows["acc_in"].reset_index(drop=True).sort_values(kind="stable").index
        assert [x[n] for n in order] == sorted(x), "further right is better on ImageNet"


def test_the_tallest_coordinate_is_named(figure):
    vectors = results.read("00-how-to-read-vectors", "published")
    trained = vectors[vectors["weights"] == "trained"].set_index("coordinate")["activation"]
    assert f"coordinate {trained.idxmax()}" in figure[1].get("aria-label")
    lines = [each for each in figure[1] if each.tag == "polyline"]
    heights = [[float(point.split(",")[1]) for point in line.get("points").split()] for line in lines]
    assert [len(each) for each in heights] == [len(trained)] * 2
    assert heights[1].index(min(heights[1])) == trained.idxmax() and min(heights[0]) > 2 * min(heights[1])


def test_panels_say_what_they_show_and_the_figure_leads_to_its_chapter(figure):
    assert all(
        panel.get("role") == "img" and len(panel.get("aria-label").split()) > 15 for panel in figure[:2]
    )
    assert figure[2].find("a").get("href").startswith("00-how-to-read.html#")


def test_sync_writes_only_what_changed_and_nothing_without_the_tables(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "results").symlink_to(paths.data() / "results")
    monkeypatch.setenv("FEATURELENS_DATA", str(tmp_path / "data"))
    assert not reference.in_step("landing") and reference.write("landing")
    assert not reference.write("landing") and reference.in_step("landing")
    landing.path().write_text("")
    assert not reference.in_step("landing")
    (tmp_path / "data" / "results").unlink()
    assert reference.in_step("landing") and not reference.write("landing")
