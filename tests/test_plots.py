import io

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from scipy.special import logit

from featurelens import plots
from featurelens.checks import UnknownNameError


def test_style_is_light_and_reproducible():
    with mpl.rc_context():
        plots.use_style()
        drawn = []
        for _ in range(2):
            figure, ax = plots.subplots()
            ax.plot([0, 1], [1, 0])
            figure.savefig(file := io.BytesIO(), format="svg", metadata={"Date": None})
            drawn.append(file.getvalue())
    assert drawn[0] == drawn[1]
    assert figure.get_facecolor() == (1, 1, 1, 1)


def test_figures_are_unknown_to_pyplot():
    plots.subplots(1, 2)
    assert not plt.get_fignums()


def test_every_regime_has_its_own_colour():
    assert len(set(plots.COLOURS.values())) == len(plots.COLOURS) == 6
    assert plots.colour("clip-web") == "#0072B2"
    with pytest.raises(UnknownNameError, match="unknown regime 'clip_web': did you mean clip-web"):
        plots.colour("clip_web")


def test_logit_is_scipys():
    p = np.linspace(0.01, 0.99, 50)
    np.testing.assert_allclose(plots.logit(p), logit(p), rtol=1e-12)


def test_logit_axes_place_accuracies_on_a_line():
    figure, ax = plots.subplots()
    plots.logit_axes(ax, (0.15, 0.9), (0.05, 0.6))
    figure.draw_without_rendering()
    x = ax.transData.transform([(p, 0.5) for p in (0.2, 0.5, 0.8)])[:, 0]
    np.testing.assert_allclose((x[1] - x[0]) / (x[2] - x[1]), 1, rtol=1e-6)
    assert next(label.get_text() for label in ax.get_xticklabels()) == "20 %"
    assert ax.get_ylim() == pytest.approx((0.05, 0.6))
