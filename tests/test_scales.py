import pytest

from featurelens import scales
from featurelens.checks import UnknownNameError


def test_miniature_is_the_default(monkeypatch):
    monkeypatch.delenv("FEATURELENS_SCALE", raising=False)
    assert scales.selected() == "miniature"
    monkeypatch.setenv("FEATURELENS_SCALE", "")
    assert scales.selected() == "miniature"


@pytest.mark.parametrize("largest", scales.SCALES)
def test_a_scale_includes_the_smaller_ones(monkeypatch, largest):
    monkeypatch.setenv("FEATURELENS_SCALE", largest)
    reached = [scale for scale in scales.SCALES if scales.computes(scale)]
    assert reached == list(scales.SCALES[: scales.SCALES.index(largest) + 1])


def test_misspelt_scale_names_the_nearest(monkeypatch):
    monkeypatch.setenv("FEATURELENS_SCALE", "publishd")
    with pytest.raises(UnknownNameError, match="unknown scale 'publishd': did you mean published"):
        scales.selected()
    with pytest.raises(UnknownNameError, match="unknown scale 'Paper'"):
        scales.computes("Paper")
