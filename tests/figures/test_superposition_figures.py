"""Figures of superposition: what they draw is what the table holds."""

import numpy as np
import pandas as pd
import pytest
from looks import drawn

from featurelens.figures import superposition as figures


def test_toy_draws_every_seed_and_the_mean():
    table = pd.DataFrame(
        {"sparsity": [0, 0, 0.9, 0.9], "represented": [5, 5, 12, 14], "ratio": [1.0, 1.0, 0.5, 0.6]}
    )
    left, right = drawn(figures.toy(table, 5)).axes
    assert left.lines[0].get_ydata().tolist() == pytest.approx([1, 2.6])
    assert right.lines[0].get_ydata().tolist() == pytest.approx([1, 0.55])
    assert left.collections[0].get_offsets()[:, 1].tolist() == pytest.approx([1, 1, 2.4, 2.8])
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["0", "0.9"]
    assert left.get_xticks().tolist() == pytest.approx([0, np.log(10)])
    assert all(ax.lines[1].get_ydata() == [1, 1] for ax in (left, right))


def test_products_draw_rows_downwards_on_one_scale():
    grid = [(row, column) for row in (1, 2, 3) for column in (1, 2, 3)]
    parts = [
        pd.DataFrame(grid, columns=["row", "column"]).assign(sparsity=s, product=np.arange(9) * s)
        for s in (0.5, 0.0)
    ]
    figure = drawn(figures.products(pd.concat(parts).sample(frac=1, random_state=3).sort_values("sparsity")))
    panels = figure.axes[:2]
    assert [ax.get_title() for ax in panels] == ["S = 0", "S = 0.5"]
    picture = panels[1].images[0]
    assert picture.get_array().tolist() == (np.arange(9) * 0.5).reshape(3, 3).tolist()
    assert picture.get_clim() == (-1, 1) and picture.get_extent() == [0.5, 3.5, 3.5, 0.5]


def test_interference_draws_every_network_beside_its_baselines():
    rows = [
        (regime, backbone, 0.1, 0.2 + i / 10, 0.3 + i / 10, 0.15 + i / 10)
        for i, regime in enumerate(("supervised", "clip-web"))
        for backbone in ("resnet", "resnet", "vit")
    ]
    columns = ["regime", "backbone", "random", "shuffled", "mean", "unrelated"]
    table = pd.DataFrame(rows, columns=columns)
    figure = drawn(figures.interference(table, {"mean": "all", "unrelated": "some"}))
    left, right = figure.axes
    assert [tick.get_text() for tick in left.get_yticklabels()] == ["clip-web", "supervised"]
    assert [ax.get_title() for ax in (left, right)] == ["all", "some"]
    for ax, values in ((left, [0.3, 0.3, 0.4, 0.4]), (right, [0.15, 0.15, 0.25, 0.25])):
        resnets = [collection.get_offsets() for collection in ax.collections[:3]]
        assert [len(offsets) for offsets in resnets] == [4, 4, 4]
        assert resnets[0][:, 0].tolist() == pytest.approx([0.1] * 4)
        assert resnets[1][:, 0].tolist() == pytest.approx([0.2, 0.2, 0.3, 0.3])
        assert resnets[2][:, 0].tolist() == pytest.approx(values)
    [key] = figure.legends
    assert [text.get_text() for text in key.get_texts()][2:] == [
        "same features, shuffled labels",
        "random directions",
    ]
