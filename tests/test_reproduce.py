"""A run at the paper's scale with tiny towers: shards of JPEGs, through Ray, to every chapter's tables."""

from collections import Counter
from pathlib import Path

import made_sets
import numpy as np
import open_clip
import pandas as pd
import pytest
import ray
import scipy.stats
import test_broden
import tiny_towers
import torch
import webdataset
from rich.console import Console

from featurelens import cli, files, results, subsets
from featurelens.paper import costs, loading, report, shown, tables
from featurelens.paper import run as runs
from featurelens.paper.names import SETS
from featurelens.store import FeatureStore

pytestmark = pytest.mark.slow
COUNT = 40
MODELS = {f"local-dir/tiny-{kind}" for kind in ("vit", "resnet", "classifier")}
KEYS = ("model", "image_set", "shift", "point", "order", "kind", "threshold", "concept")
HUB = {"val": "wds_imagenet1k", "rendition": "wds_imagenet-r", "objectnet": "wds_objectnet"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with image sets, concepts, towers, a cache and a place for tables; a cluster that runs."""
    folder = tmp_path_factory.mktemp("paper")
    made_sets.write_all(folder / "images", COUNT)
    concepts, *_ = test_broden.tree(folder, 130)
    names = [
        tiny_towers.clip(folder / "tiny-vit"),
        tiny_towers.clip(folder / "tiny-resnet", "resnet", seed=1),
        tiny_towers.classifier(folder / "tiny-classifier"),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEATURELENS_IMAGES", str(folder / "images"))
        patch.setenv("FEATURELENS_CACHE", str(folder / "cache"))
        patch.setenv("FEATURELENS_RESULTS", str(folder / "results"))
        env = {"OMP_NUM_THREADS": "1"}
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": env})
        yield folder, names, str(concepts)
        ray.shutdown()


def reproduce(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.app(["reproduce", "--scale", "paper", *arguments])
    assert not ended.value.code


@pytest.fixture(scope="module")
def reproduced(place):
    folder, names, concepts = place
    arguments = ["--models", ",".join(names), "--concepts", concepts, "--store", str(folder / "store")]
    reproduce(*arguments, "--templates", "single", "--engine", "ray")
    return {name: results.read(name, "paper") for name in tables.NAMES}


def samples(folder: Path, name: str):
    """Pictures and labels of a made set as webdataset reads them, those that decode."""
    tars = sorted((folder / "images" / name / "test").glob("*.tar"))
    data = webdataset.WebDataset([str(tar) for tar in tars], shardshuffle=False, empty_check=False)
    return list(data.decode("pil", handler=webdataset.ignore_and_continue).to_tuple("jpg", "cls"))


def test_every_table_has_every_model(reproduced):
    for name, table in reproduced.items():
        assert set(table["model"]) == {
            f"local-dir/tiny-{kind}" for kind in ("vit", "resnet", "classifier")
        }, name
        assert set(table["scale"]) == {"paper"} and set(table["regime"]) == {"own"}


def test_accuracies_are_those_of_open_clip_itself(place, reproduced):
    folder, names, _ = place
    network, _, transform = open_clip.create_model_and_transforms(names[0])
    tokens = open_clip.get_tokenizer(names[0])(
        ["a photo of a " + c + "." for c in open_clip.IMAGENET_CLASSNAMES]
    )
    table = reproduced["01-paper-accuracy"].set_index(["model", "image_set"])
    network.eval()
    with torch.no_grad():
        w_CD = network.encode_text(tokens, normalize=True)
        for image_set, hub in HUB.items():
            pairs = samples(folder, hub)
            assert len(pairs) == COUNT - 1
            h_ND = network.encode_image(torch.stack([transform(picture) for picture, _ in pairs]))
            scores_NC = (h_ND @ w_CD.T).numpy()
            part = subsets.of(SETS[image_set])
            correct = 0
            for score_C, (_, label) in zip(scores_NC, pairs, strict=True):
                best = max(part.rows_R.tolist(), key=lambda row: score_C[row])
                correct += part.group_R[part.rows_R.tolist().index(best)].item() == int(label)
            row = table.loc[("local-dir/tiny-vit", image_set)]
            assert (row["correct"], row["images"], row["left_out"]) == (correct, COUNT - 1, 1)


def test_kurtosis_is_scipys(place, reproduced):
    folder, names, _ = place
    network, _, transform = open_clip.create_model_and_transforms(names[1])
    pictures = torch.stack([transform(picture) for picture, _ in samples(folder, "wds_imagenet1k")])
    with torch.no_grad():
        h_ND = network.eval().encode_image(pictures).double().numpy()
    table = reproduced["02-paper-kurtosis"].set_index(["model", "point"])
    expected = scipy.stats.kurtosis(h_ND, axis=1, fisher=False).mean()
    assert table.loc[("local-dir/tiny-resnet", "joint"), "kurtosis"] == pytest.approx(expected, rel=1e-4)


def test_the_whole_head_ends_the_curves(reproduced):
    prunable = reproduced["03-paper-prunable"].query("order == 'importance'")
    accuracy = reproduced["01-paper-accuracy"]
    both = prunable.merge(accuracy, on=["model", "image_set"])
    assert len(both) == 18
    # Two class names of ImageNet occur twice: curves take the first of equal scores, argmax may not.
    np.testing.assert_allclose(both["full"], both["accuracy"], atol=1 / COUNT + 1e-9)


def test_signatures_stand_beside_robustness(reproduced):
    table = reproduced["05-paper-signatures"].set_index("model")
    er = reproduced["01-paper-robustness"].groupby("model")["er"].mean()
    for model, row in table.iterrows():
        assert row["er"] == pytest.approx(er[model], nan_ok=True)
    assert table["encoded"].ge(table["unique"]).all() and table["prunable"].between(0, 1).all()


def test_again_nothing_is_done(place, reproduced, monkeypatch, capsys):
    folder, names, concepts = place
    arguments = ["--models", ",".join(names), "--concepts", concepts, "--store", str(folder / "store")]
    monkeypatch.setattr(runs, "_measure", None)
    before = {path: path.read_bytes() for path in (folder / "results").iterdir()}
    reproduce(*arguments, "--templates", "single")
    assert "to decode" not in capsys.readouterr().out
    assert {path: path.read_bytes() for path in (folder / "results").iterdir()} == before


def test_groups_of_encoders_share_one_decoding(place, reproduced, monkeypatch, tmp_path):
    folder, names, _ = place
    monkeypatch.setattr(loading, "BUDGET", 0.0)  # one encoder at a time
    decoded, picture = Counter(), files.Files.picture
    monkeypatch.setattr(
        files.Files, "picture", lambda self, i: (decoded.update([(str(self.path), i)]), picture(self, i))[1]
    )
    arguments = ["--models", ",".join(names), "--sets", "val,adversarial", "--templates", "single"]
    monkeypatch.setenv("FEATURELENS_RESULTS", str(tmp_path / "results"))
    reproduce(*arguments, "--store", str(tmp_path / "store"))
    assert max(decoded.values()) == 2  # two geometries: the classifier crops otherwise
    assert not (folder / "cache" / "pixels").exists()
    table = results.read("01-paper-accuracy", "paper").set_index(["model", "image_set"])
    whole = reproduced["01-paper-accuracy"].set_index(["model", "image_set"])
    assert table["correct"].equals(whole["correct"].reindex(table.index))


def test_a_run_adds_its_rows_and_comparisons_are_made_anew(place, reproduced, monkeypatch, tmp_path):
    folder, names, concepts = place
    store = str(folder / "store")
    monkeypatch.setenv("FEATURELENS_RESULTS", str(tmp_path / "results"))
    given = ["--templates", "single", "--store", store]
    for name in names:  # one by one, and then one of them again with fewer sets and no concepts
        reproduce("--models", name, "--concepts", concepts, *given)
    reproduce("--models", names[0], "--sets", "val", *given)
    for name in tables.NAMES:
        key = [column for column in KEYS if column in reproduced[name]]
        both = (results.read(name, "paper"), reproduced[name])
        left, right = (results.bare(table).sort_values(key, ignore_index=True) for table in both)
        pd.testing.assert_frame_equal(left, right, check_like=True, check_dtype=False)
    source = results.read("01-paper-accuracy", "paper")["source"]
    assert source.nunique() == 2 and source.str.contains("prompts single").all()
    assert str(folder) not in " ".join(source)


def test_dry_run_says_what_is_missing_and_writes_nothing(place, reproduced, capsys, tmp_path, monkeypatch):
    _, names, _ = place
    monkeypatch.setenv("COLUMNS", "160")
    reproduce("--models", names[0], "--dry-run", "--store", str(tmp_path / "store"), "--sets", "val,sketch")
    shown_text = capsys.readouterr().out
    assert "No published rate" in shown_text and "50,889" in shown_text
    assert not (tmp_path / "store").exists() or not any((tmp_path / "store").rglob("shard*"))


def test_a_missing_set_is_one_line(place, monkeypatch, tmp_path, capsys):
    _, names, _ = place
    monkeypatch.setenv("FEATURELENS_IMAGES", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SystemExit) as ended:
        cli.app(["reproduce", "--scale", "paper", "--models", names[0]])
    assert ended.value.code == 2
    assert "wds_imagenet1k" in capsys.readouterr().err


def test_pages_show_the_table_or_how_to_make_it(reproduced, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(shown, "display", seen.append)
    shown.show("05-paper-signatures", tuple(SETS), ["model", "er", "kurtosis"], sort="kurtosis")
    table, caption = seen
    assert list(table.columns) == ["model", "er", "kurtosis"] and table["kurtosis"].is_monotonic_decreasing
    assert "Scale paper" in caption.data and "on a T4" in caption.data and "on a A100" not in caption.data
    monkeypatch.setenv("FEATURELENS_RESULTS", str(tmp_path))
    seen.clear()
    shown.show("05-paper-signatures", ("val",))
    assert "reproduce --scale paper --precision bfloat16 --sets val`" in seen[0].data


def test_hours_by_gpu_are_those_of_the_rates(place, monkeypatch, capsys):
    run = loading.Run(tuple(loading.models()), ("val", "v2"), FeatureStore("memory://nowhere"))
    Console(width=160).print(report.by_gpu(run))
    text = capsys.readouterr().out
    line = next(line for line in text.splitlines() if "RTX 3090" in line)
    # 60,000 images; the 16 encoders and timm's controls of the same backbones.
    seconds = {"ViT-B-32": 1 / 5090, "ViT-B-16": 1 / 1565, "ViT-L-14": 1 / 360, "RN50": 1 / 2533}
    seconds["RN101"] = 56.3 / 38.3 / 2533
    backbones = [costs.backbone(name) for name in loading.models()]
    expected = 60_000 * sum(seconds.get(backbone, 0) for backbone in backbones) / 3600
    assert f"{expected:.2f}" in line and "published" in line
    assert sum(backbone in seconds for backbone in backbones[-16:]) == 16
