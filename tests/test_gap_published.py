"""The gap of published features: numpy's numbers, and the outlier coordinates at its head."""

import numpy as np
import pytest

from featurelens import gap, published_features, scales


@pytest.fixture(scope="module")
def table():
    try:
        return gap.published()
    except scales.Unreachable as error:
        pytest.skip(str(error))


def test_shares_equal_numpy(table):
    sides = [
        published_features.load(f"clip-b16/coco-{side}").double().numpy() for side in ("images", "captions")
    ]
    means = [(h / np.linalg.norm(h, axis=1, keepdims=True)).mean(0) for h in sides]
    gap_D = means[0] - means[1]
    rows = table[table["weights"] == "trained"]
    assert rows["gap"].iloc[0] == pytest.approx(np.linalg.norm(gap_D), rel=1e-5)
    share_D = gap_D**2 / np.sum(gap_D**2)
    assert rows["coordinate"].tolist() == np.argsort(-share_D)[:10].tolist()
    assert rows["share"].to_numpy() == pytest.approx(np.sort(share_D)[::-1][:10], rel=1e-4)


def test_the_outliers_of_both_sides_lead_the_gap_of_the_trained_network_only(table):
    trained, untrained = (rows for _, rows in table.groupby("weights", sort=False))
    assert trained[["coordinate", "outlier_of"]].head(2).to_numpy().tolist() == [
        [442, "images"],
        [362, "captions"],
    ]
    assert untrained["share"].max() < 0.02
