"""Figures of chapter 5: what they draw is what the table holds."""

import numpy as np
import pandas as pd
import pytest
from looks import drawn, near, texts, ticks
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex

from featurelens import plots
from featurelens.figures import controls as figures

ROUND = 10  # a circle has more corners in its path than a triangle or a square


def scatters(ax):
    return [each for each in ax.collections if isinstance(each, PathCollection)]


def marks(collection):
    """Marks that are seen: those of a missing number are not."""
    return [tuple(map(float, xy)) for xy in collection.get_offsets() if not np.ma.is_masked(xy)]


def faces(collection):
    return [to_hex(face).upper() for face in collection.get_facecolor()]


def corners(collection):
    return len(collection.get_paths()[0].vertices)


@pytest.fixture
def models():
    return pd.DataFrame(
        [
            ("B/16", "supervised", "supervised", -2.0),
            ("B/16", "encoder", "clip-web", 12.0),
            ("B/16", "encoder", "clip-captions", 20.0),
            ("B/32", "encoder", "clip-web", 10.0),
            ("B/32", "finetuned", "finetuned", 4.0),
            ("L/14", "encoder", "clip-web", 30.0),
        ],
        columns=["backbone", "kind", "regime", "er"],
    )


def test_towers_mark_each_model_on_the_row_of_its_backbone(models):
    figure = drawn(figures.towers(models, {"B/32": "ViT-B/32", "B/16": "ViT-B/16"}))
    [ax] = figure.axes
    encoders, finetuned, supervised = scatters(ax)
    assert marks(encoders) == near([(12, 0.82), (20, 0.82), (10, -0.18)]), "L/14 was not asked for"
    assert marks(finetuned) == near([(4, 0)])
    assert marks(supervised) == near([(-2, 1.18)])
    for found, regime in zip(scatters(ax), ("clip-web", "finetuned", "supervised"), strict=True):
        assert faces(found) == [plots.COLOURS[regime]]
    assert len({each.get_paths()[0].vertices.tobytes() for each in scatters(ax)}) == 3, "no two alike"
    assert texts(figure.legends[0]) == ["CLIP, zero-shot", "CLIP, finetuned", "supervised on labels"]
    assert ticks(ax.yaxis) == ["ViT-B/32", "ViT-B/16"] and list(ax.get_yticks()) == [0, 1]
    assert ax.get_ylim() == (1.5, -0.5), "the first row on top"
    assert list(ax.lines[0].get_xdata()) == [0, 0]
    assert "points" in ax.get_xlabel()


def test_towers_without_a_kind_or_without_any_model(models):
    [ax] = drawn(figures.towers(models[models["kind"] == "encoder"], {"B/32": "ViT-B/32"})).axes
    assert [marks(each) for each in scatters(ax)] == [near([(10, -0.18)]), [], []]
    [ax] = drawn(figures.towers(models[:0], {"B/32": "ViT-B/32"})).axes
    assert ticks(ax.yaxis) == ["ViT-B/32"] and not any(marks(each) for each in scatters(ax))


@pytest.fixture
def signed():
    return pd.DataFrame(
        [
            ("supervised", "resnet", 1.0, 2.5, 0.3),
            ("supervised", "vit", 2.0, 2.6, 0.4),
            ("clip-web", "resnet", 30.0, 2.7, float("nan")),
            ("clip-web", "resnet", 31.0, 2.8, 0.6),
        ],
        columns=["regime", "backbone", "er", "kurtosis", "encoded"],
    )


def test_signatures_have_a_panel_each_and_a_row_per_regime(signed):
    panels = {"encoded": "Concepts", "er": "Robustness", "kurtosis": "Kurtosis"}
    figure = drawn(figures.signatures(signed, panels))
    assert [ax.get_title() for ax in figure.axes] == ["Concepts", "Robustness", "Kurtosis", ""]
    assert [ax.axison for ax in figure.axes] == [True, True, True, False]
    concepts, robustness, kurtosis, _ = figure.axes
    expected = {
        robustness: ([(1, 0.9), (30, -0.1), (31, -0.1)], [(2, 1.16)]),
        kurtosis: ([(2.5, 0.9), (2.7, -0.1), (2.8, -0.1)], [(2.6, 1.16)]),
        concepts: ([(0.3, 0.9), (0.6, -0.1)], [(0.4, 1.16)]),
    }
    for ax, (circles, triangles) in expected.items():
        resnets, vits = scatters(ax)
        assert marks(resnets) == near(circles) and corners(resnets) > ROUND
        assert marks(vits) == near(triangles) and corners(vits) < ROUND
        assert faces(resnets) == [plots.COLOURS[name] for name in ("supervised", "clip-web", "clip-web")]
        assert faces(vits) == [plots.COLOURS["supervised"]]
        assert ax.get_ylim() == (1.5, -0.5), "the first regime on top"
    assert ticks(concepts.yaxis) == ["clip-web", "supervised"] and list(concepts.get_yticks()) == [0, 1]
    assert figure._supxlabel.get_text() == "circles: ResNets; triangles: ViTs"


def test_signatures_fill_two_rows(signed):
    columns = {f"s{i}": signed["er"] + 100 * i for i in range(6)}
    figure = drawn(figures.signatures(signed.assign(**columns), {name: name.upper() for name in columns}))
    assert [ax.get_title() for ax in figure.axes] == ["S0", "S1", "S2", "S3", "S4", "S5", "", ""]
    assert [marks(scatters(ax)[1])[0][0] for ax in figure.axes[:6]] == [2, 102, 202, 302, 402, 502]
    assert ticks(figure.axes[4].yaxis) == ["clip-web", "supervised"]
    assert [ax.axison for ax in figure.axes] == [True] * 6 + [False] * 2


def test_signatures_of_one_panel_one_backbone_and_no_numbers(signed):
    figure = drawn(figures.signatures(signed[signed["backbone"] == "resnet"], {"kurtosis": "Kurtosis"}))
    resnets, vits = scatters(figure.axes[0])
    assert len(marks(resnets)) == 3 and marks(vits) == []
    absent = drawn(figures.signatures(signed.assign(encoded=float("nan")), {"encoded": "Concepts"}))
    assert [marks(each) for each in scatters(absent.axes[0])] == [[], []]


@pytest.fixture
def real():
    return pd.DataFrame(
        [
            ("B/16", "image", "CLIP", 30.0, 20.0),
            ("B/16", "text", "CLIP", 90.0, 20.0),
            ("B/32", "image", "CLIP", 40.0, 18.0),
            ("EVA", "image", "EVA-CLIP", 8.0, 25.0),
            ("lite0", "image", "EfficientNet", 4.0, -3.0),
        ],
        columns=["label", "side", "family", "kurtosis", "er"],
    )


def test_kurtosis_against_robustness_tells_families_and_sides_apart(real):
    [ax] = drawn(figures.kurtosis_against_robustness(real)).axes
    images, captions, eva, efficient = scatters(ax)
    assert marks(images) == [(30, 20), (40, 18)] and marks(captions) == [(90, 20)]
    assert marks(eva) == [(8, 25)] and marks(efficient) == [(4, -3)]
    assert faces(captions) == ["#FFFFFF"] and to_hex(captions.get_edgecolor()[0]).upper() == faces(images)[0]
    assert len({faces(each)[0] for each in (images, eva, efficient)}) == 3
    assert corners(images) == corners(captions) > ROUND
    assert len({each.get_paths()[0].vertices.tobytes() for each in (images, eva, efficient)}) == 3
    assert texts(ax.get_legend()) == [
        "CLIP, image features",
        "CLIP, text features",
        "EVA-CLIP, image features",
        "EfficientNet, image features",
        "Gaussian: 3",
    ]
    assert list(ax.lines[0].get_xdata()) == [3, 3]
    assert ax.get_xscale() == "log" and "10" in ticks(ax.xaxis), "plain numbers, no powers"
    assert ax.get_xlabel() == "activation kurtosis" and "points" in ax.get_ylabel()


def test_kurtosis_against_robustness_names_only_what_is_there(real):
    [ax] = drawn(figures.kurtosis_against_robustness(real[real["side"] == "text"])).axes
    assert texts(ax.get_legend()) == ["CLIP, text features", "Gaussian: 3"]
    [ax] = drawn(figures.kurtosis_against_robustness(real[:0])).axes
    assert texts(ax.get_legend()) == ["Gaussian: 3"] and scatters(ax) == []


@pytest.fixture
def way():
    """Three seeds of ResNets and one ViT, from the end to the start."""
    return pd.DataFrame(
        [
            {"backbone": b, "seed": s, "alpha": a, "gain": size + 10 * a + up, "loss": size - a + up}
            for b, size, seeds in (("vit", 50, (0,)), ("resnet", 20, (-1, 0, 4)))
            for s, up in enumerate(seeds)
            for a in (1, 0.5, 0)
        ]
    )


def test_path_draws_mean_and_range_of_each_backbone(way):
    figure = drawn(figures.path(way, {"loss": "Loss", "gain": "Gain"}))
    assert [ax.get_title() for ax in figure.axes] == ["Loss", "Gain"]
    for ax, slope in zip(figure.axes, (-1, 10), strict=True):
        for line, band, size, low, high in zip(
            ax.lines, ax.collections, (20, 50), (-1, 0), (4, 0), strict=True
        ):
            assert list(line.get_xdata()) == [0, 0.5, 1]
            mean = size + (low + high) / 3
            assert list(line.get_ydata()) == pytest.approx([mean, mean + slope / 2, mean + slope])
            found = {tuple(map(float, xy)) for xy in band.get_paths()[0].vertices}
            assert found == {(a, size + slope * a + up) for a in (0, 0.5, 1) for up in (low, high)}
            assert faces(band) == [line.get_color()]
        assert [line.get_label() for line in ax.lines] == ["resnet", "vit"]
        assert [line.get_ls() for line in ax.lines] == ["-", "--"]
        assert len({line.get_color() for line in ax.lines}) == 2
        assert list(ax.get_xticks()) == [0, 0.5, 1]
    assert texts(figure.axes[0].get_legend()) == ["resnet", "vit"]
    assert figure._supxlabel.get_text() == "alpha: 0 zero-shot, 1 finetuned"


def test_path_of_one_panel_and_one_backbone(way):
    [ax] = drawn(figures.path(way[way["backbone"] == "vit"], {"gain": "Gain"})).axes
    resnet, vit = ax.lines
    assert list(resnet.get_xdata()) == [] and list(vit.get_ydata()) == [50, 55, 60]
    drawn(figures.path(way[:0], {"gain": "Gain"}))
