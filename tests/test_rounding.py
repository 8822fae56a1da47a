import numpy as np
import pytest
import scipy.stats
import torch

from featurelens import published_features, rounding
from featurelens.scales import Unreachable

H = torch.randn(200, 64, generator=torch.Generator().manual_seed(0)) * torch.logspace(-3, 3, 64)
H[0, :5] = 0


def bfloat16(x_ND):
    """Rounding to nearest even at 16 of a float32's 32 bits, in numpy's integers."""
    bits = x_ND.view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


CASTS = {"float32": lambda x: x, "float16": lambda x: x.astype(np.float16), "bfloat16": bfloat16}


def reference(h_ND, stored):
    x_ND, kept_ND = h_ND.numpy(), CASTS[stored](h_ND.numpy()).astype(np.float64)
    k_N, exact_N = (scipy.stats.kurtosis(a.astype(np.float64), axis=1, fisher=False) for a in (kept_ND, x_ND))
    filled = x_ND != 0
    error = np.abs(kept_ND[filled] - x_ND[filled].astype(np.float64)) / np.abs(
        x_ND[filled].astype(np.float64)
    )
    return k_N.mean(), np.abs(k_N / exact_N - 1).max(), error.max(), kept_ND


@pytest.mark.parametrize("h_ND", [H, rounding.one_outlier(50)], ids=["scales", "one outlier"])
def test_equals_numpys_casts_and_scipys_kurtosis(h_ND):
    table = rounding.effect(h_ND).set_index("stored")
    assert list(table.index) == list(CASTS) and table["bytes"].tolist() == [4, 2, 2]
    for stored in CASTS:
        mean, change, error, _ = reference(h_ND, stored)
        assert table.loc[stored, "kurtosis"] == pytest.approx(mean, rel=1e-9)
        assert table.loc[stored, "kurtosis_change"] == pytest.approx(change, rel=1e-6, abs=1e-12)
        assert table.loc[stored, "rounding"] == pytest.approx(error, rel=1e-6, abs=0)
    assert table.loc["float32", ["kurtosis_change", "rounding"]].tolist() == [0, 0]
    assert 2**-9 < table.loc["bfloat16", "rounding"] <= 2**-8 and "accuracy" not in table


def test_decisions_with_a_head():
    h_ND = torch.randn(2000, 8, generator=torch.Generator().manual_seed(1))
    angle_C = torch.linspace(0, 2 * torch.pi, 301)[1:]  # classes that are hard to tell apart
    w_CD = torch.stack([angle_C.cos(), angle_C.sin(), *6 * [torch.zeros(300)]], 1)
    y_N = (h_ND @ w_CD.T).argmax(1)
    table = rounding.effect(h_ND, w_CD, y_N).set_index("stored")
    for stored in CASTS:
        kept_ND = reference(h_ND, stored)[3].astype(np.float32)
        right = ((kept_ND @ w_CD.numpy().T).argmax(1) == y_N.numpy()).mean()
        assert table.loc[stored, "accuracy"] == pytest.approx(right)
        assert table.loc[stored, "changed"] == pytest.approx(1 - right)
    assert table["changed"]["float32"] == 0 < table["changed"]["float16"] < table["changed"]["bfloat16"]
    assert list(rounding.effect(h_ND, w_CD)["changed"]) == list(table["changed"])


def test_features_beyond_a_types_range_are_refused():
    with pytest.raises(
        ValueError, match="features stored as float16: expected finite numbers, found NaN or inf"
    ):
        rounding.effect(1e4 * H)


def test_one_outlier_has_nearly_the_largest_kurtosis():
    h_ND = rounding.one_outlier()
    assert h_ND.shape == (500, 512) and 440 < rounding.effect(h_ND)["kurtosis"][0] < 510


def test_published_sets():
    try:
        table = rounding.published().set_index(["name", "stored"])
    except Unreachable as error:
        pytest.skip(f"needs a mirror folder or the network: {error}")
    names = ["one outlier", *published_features.names()]
    assert [name for name, _ in table.index] == [name for name in names for _ in CASTS]
    pair = table.loc["clip-b16/coco-images"]
    h_ND, w_CD = (published_features.load(f"clip-b16/coco-{side}") for side in ("images", "captions"))
    scores_NC = (
        h_ND.numpy().astype(np.float16).astype(np.float64) @ (w_CD / w_CD.norm(dim=1, keepdim=True)).numpy().T
    )
    assert pair.loc["float16", "accuracy"] == pytest.approx(
        (scores_NC.argmax(1) == np.arange(500)).mean(), abs=0.002
    )
    assert pair.loc["float16", "kurtosis"] == pytest.approx(reference(h_ND, "float16")[0], rel=1e-9)
    assert set(table["accuracy"].dropna().index.droplevel("stored")) == {
        "clip-b16/coco-images",
        "clip-b16-random/coco-images",
    }
    # Largest change of any image's kurtosis, over all sets.
    largest = table["kurtosis_change"].groupby(level="stored").max()
    assert largest["float16"] < 0.002 < 0.005 < largest["bfloat16"] < 0.02
