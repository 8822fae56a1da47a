"""Published features: every value of the facts, recomputed from the files with numpy as the oracle."""

import numpy as np
import pytest
import torch

from featurelens import published_features
from featurelens.checks import UnknownNameError
from featurelens.kernels import activation_kurtosis, outlier_coordinates, random_rotation
from featurelens.scales import Unreachable

# name: mean kurtosis, outlier coordinates. Sources: facts/paper.md section 7 and the notes of the mirror.
EXPECTED = {
    "clip-b16/coco-images": (87.24, [442]),
    "clip-b16/coco-captions": (76.99, [362]),
    "clip-b16-random/coco-images": (2.94, []),
    "clip-b16-random/coco-captions": (3.00, []),
    "clip-b16/coco-panoptic": (190.39, [362]),
    "clip-l14-336/coco-panoptic": (123.15, [316, 440]),
    "clip-b32/imagenet-photo": (62.73, [133, 312]),
    "clip-b32/imagenet-unknown": (75.17, [133, 312]),
    "clip-b32/lvis": (95.26, [133, 312]),
    "clip-b32/openimages": (98.13, [133, 312]),
    "clip-b32/objects365": (97.36, [133, 312]),
    "clip-b32/coco": (105.48, [133, 312]),
    "eva-clip-b16/coco-panoptic": (3.22, []),
    "eva-clip-l14-336/coco-panoptic": (3.18, []),
    "convirt/first": (5.28, []),
    "convirt/second": (4.36, []),
    "convirt-random/first": (3.23, []),
    "convirt-random/second": (2.81, []),
    "videoclip/first": (81.55, [308, 381]),
    "videoclip/second": (2.97, []),
    "videoclip-random/first": (10.9, [308]),
    "videoclip-random/second": (34.6, [308]),
}


def load_or_skip(name: str) -> torch.Tensor:
    try:
        return published_features.load(name)
    except Unreachable as error:
        pytest.skip(f"needs a mirror folder or the network: {error}")


def test_the_table_and_the_expectations_name_the_same_sets():
    assert set(published_features.names()) == set(EXPECTED)
    frame = published_features.table()
    assert list(frame["name"]) == published_features.names()
    assert frame["licence"].notna().all() and set(frame["weights"]) == {"trained", "random"}


@pytest.mark.parametrize("name", EXPECTED)
def test_kurtosis_and_outliers_of_each_set(name):
    h_ND = load_or_skip(name)
    kurtosis, outliers = EXPECTED[name]
    assert h_ND.dtype == torch.float32
    x_ND = h_ND.double().numpy()
    z_ND = (x_ND - x_ND.mean(1, keepdims=True)) / x_ND.std(1, keepdims=True)
    # Two-digit facts to half their last digit, and the kernel against numpy far closer.
    digits = len(str(kurtosis).partition(".")[2])
    assert (z_ND**4).mean() == pytest.approx(kurtosis, abs=0.51 * 10**-digits if digits == 2 else 0.06)
    assert activation_kurtosis(h_ND).mean().item() == pytest.approx((z_ND**4).mean(), rel=1e-5)
    assert sorted(outlier_coordinates(h_ND).tolist()) == outliers


def test_the_rotation_control_takes_the_kurtosis_to_three():
    for side in ("images", "captions"):
        h_ND = load_or_skip(f"clip-b16/coco-{side}")
        means = [activation_kurtosis(random_rotation(h_ND, seed)).mean().item() for seed in range(5)]
        assert np.mean(means) == pytest.approx(3, abs=0.15)


def test_an_unknown_name_is_one_line_with_the_nearest():
    with pytest.raises(UnknownNameError, match="clip-b16/coco-images"):
        published_features.load("clip-b16/coco-image")


def test_another_shape_than_the_table_says_is_refused(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.ones((2, 3, 4), np.float32))
    monkeypatch.setattr(published_features.published, "fetch", lambda key: tmp_path / "x.npy")
    with pytest.raises(ValueError, match=r"expected 500 x 512, found \(3, 4\)"):
        published_features.load("clip-b16/coco-images")


def test_pickles_are_never_loaded(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    monkeypatch.setattr(published_features.published, "fetch", lambda key: tmp_path / "x.npy")
    with pytest.raises(ValueError, match="allow_pickle"):
        published_features.load("clip-b16/coco-images")
