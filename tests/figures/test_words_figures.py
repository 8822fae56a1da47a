"""Figures of words: what they draw is what the tables hold, and no word lies on another."""

import matplotlib as mpl
import pandas as pd
import pytest

from featurelens import plots
from featurelens.figures import words as figures


@pytest.fixture(autouse=True)
def book_style():
    with mpl.rc_context():
        plots.use_style()
        yield


def drawn(figure):
    figure.draw_without_rendering()
    return figure


def ends(longest=12, n=8):
    names = [f"{'word_' * 20}"[: longest - k % 5] + str(k) for k in range(2 * n)]
    z = [2.5 - 0.1 * k for k in range(n)] + [-3 - 0.2 * k for k in range(n)]
    return pd.DataFrame({"score": "v_1", "end": ["high"] * n + ["low"] * n, "word": names, "z": z})


def test_extremes_name_each_word_at_its_own_line():
    table = ends()
    [ax] = drawn(figures.extremes({"direction 1": table})).axes
    assert [text.get_text() for text in ax.texts] == [word.replace("_", " ") for word in table["word"]]
    points = ax.collections[1].get_offsets()
    assert points[:, 0].tolist() == table["z"].tolist()
    assert [text.xy[1] for text in ax.texts] == points[:, 1].tolist() == [*range(8), *range(9, 17)]
    # A word stands on the other side of zero than its line.
    assert [text.get_ha() for text in ax.texts] == ["right"] * 8 + ["left"] * 8
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


@pytest.mark.parametrize("panels", [1, 2, 3])
def test_words_fit_their_panels(panels):
    figure = drawn(figures.extremes({f"panel {n}": ends(40) for n in range(panels)}))
    boxes = [(text.get_text(), text.get_window_extent()) for ax in figure.axes for text in ax.texts]
    for n, (text, box) in enumerate(boxes):
        assert box.x0 >= -1 and box.x1 <= figure.bbox.x1 + 1, text
        assert not [other for other, around in boxes[n + 1 :] if box.overlaps(around)], text
    assert all(ax.texts[-1].get_text().endswith("…") for ax in figure.axes) == (panels > 1)


def test_relations_draw_every_head_at_every_fact():
    rows = [
        {"head": head, "score": score, "fact": fact, "value": value, "low": value - 0.1, "high": value + 0.1}
        for score in ("v_1", "v_9")
        for head, value in (("a", -0.5), ("b", 0.3))
        for fact in ("tokens", "captions")
        if (head, fact) != ("b", "captions")
    ]
    labels = {"a": "A", "b": "B"}, {"v_1": "first", "v_9": "last"}, {"captions": "in", "tokens": "t"}
    figure = drawn(figures.relations(pd.DataFrame(rows), *labels))
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["first", "last"]
    for ax in figure.axes:
        first, second = (
            c.get_offsets() for c in ax.collections if len(c.get_offsets()) and c.get_label()[0] != "_"
        )
        assert first.tolist() == [[-0.5, 0.9], [-0.5, -0.1]] and second.tolist() == [[0.3, 1.1]]
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["in", "t"]
