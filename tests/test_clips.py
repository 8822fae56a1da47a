"""Networks of open_clip and timm by name: their own weights and preprocessing, or one line why not."""

import json

import open_clip
import pytest
import timm
import tiny_towers
import torch
from safetensors.torch import load_file, save_file
from torchvision import transforms

from featurelens import checks, clips, compute, hub, preprocess, scales, zoo
from featurelens.recipes import weights

MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
X = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    """No network, and nothing of this machine's cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a tiny CLIP; open_clip knows its configuration as ``tiny-clip``."""
    path = tmp_path_factory.mktemp("clips") / "vit"
    tiny_towers.clip(path)
    (path.parent / "tiny-clip.json").write_text(json.dumps(tiny_towers.config("vit")))
    open_clip.add_model_config(path.parent / "tiny-clip.json")
    return path


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


def test_folder_brings_its_weights_and_its_own_preprocessing(folder):
    encoder = zoo.load(f"local-dir:{folder}")
    assert encoder.name == "local-dir/vit" and str(folder) not in str(encoder.identity)
    assert (encoder.preprocess.mean, encoder.preprocess.std) == (MEAN, STD)
    assert "open_clip_torch" in encoder.identity["versions"] and encoder.text is not None
    _, theirs = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    for image in preprocess.probe_images():
        torch.testing.assert_close(encoder.preprocess(image), theirs(image))


def test_crops_of_open_clip_and_timm_are_shared_where_they_agree(folder, tmp_path):
    described = {"input_size": [3, 32, 32], "mean": MEAN, "std": STD, "crop_pct": 1.0}
    name = tiny_towers.classifier(tmp_path / "timm", classes=4)
    config = json.loads((tmp_path / "timm" / "config.json").read_text())
    (tmp_path / "timm" / "config.json").write_text(json.dumps({**config, "pretrained_cfg": described}))
    clip, classifier = zoo.load(f"local-dir:{folder}"), zoo.load(name)
    assert clip.preprocess.shared_as == classifier.preprocess.shared_as
    image = preprocess.probe_image()
    assert torch.equal(clip.preprocess.pixels(image), classifier.preprocess.pixels(image))


def test_identity_is_the_image_tower_s(folder, tmp_path):
    base, other = zoo.load(f"local-dir:{folder}"), tmp_path / "vit"
    name = tiny_towers.clip(other)
    tensors = load_file(other / "open_clip_model.safetensors")
    tensors["token_embedding.weight"] += 1
    save_file(tensors, other / "open_clip_model.safetensors")
    assert zoo.load(name).identity == base.identity
    tensors["visual.proj"] += 1
    save_file(tensors, other / "open_clip_model.safetensors")
    assert zoo.load(name).identity["weights"] != base.identity["weights"]


def test_file_of_weights_is_loaded_with_what_it_says_of_its_pictures(folder, tmp_path):
    weights, said = folder / "open_clip_model.safetensors", tmp_path / "mine.safetensors"
    encoder = zoo.load(f"open_clip/tiny-clip/{weights}")
    assert encoder.name == "open_clip/tiny-clip/open_clip_model"
    assert encoder.preprocess.mean[0] == 0.48145466  # open_clip's own, where the file says nothing
    torch.testing.assert_close(encoder.encode(X), zoo.load(f"local-dir:{folder}").encode(X))
    described = {"model": "tiny-clip", "preprocess": {"mean": list(MEAN), "std": list(STD), "size": [32, 32]}}
    save_file(load_file(weights), said, {clips.INFO: json.dumps(described)})
    assert zoo.load(f"open_clip/tiny-clip/{said}").preprocess.mean == MEAN
    with pytest.raises(ValueError, match="expected weights of ViT-B-32, found those of tiny-clip"):
        zoo.load(f"open_clip/ViT-B-32/{said}")


def test_file_of_a_training_recipe_is_loaded_by_its_path(folder, tmp_path):
    path, tensors = tmp_path / "mine.safetensors", load_file(folder / "open_clip_model.safetensors")
    config = {"mean": list(MEAN), "std": list(STD), "size": [32, 32]}
    described = {"model": "tiny-clip", "kind": "contrastive", "recipe": {"name": "tiny"}}
    weights.write(path, tensors, {**described, "preprocess": config, "classes": ["dog", "cat"]})
    encoder = zoo.load(str(path), layers="visual.ln_pre[0]", compute=compute.Compute("bfloat16"))
    assert encoder.name == "recipe/tiny" and encoder.head.w_CD.shape == (2, 32)
    assert list(encoder.dims) == ["pre", "joint", "visual.ln_pre[0]"]
    joint = zoo.load(f"local-dir:{folder}").encode(X)["joint"]
    torch.testing.assert_close(zoo.load(str(path)).encode(X)["joint"], joint)
    with pytest.raises(TypeError, match="expected no preprocess= with a file"):
        zoo.load(str(path), preprocess=preprocess.square(32))


@pytest.mark.parametrize("kind", ["clip", "classifier"])
def test_hub_repository_is_told_apart_by_its_configuration(kind, tmp_path, monkeypatch):
    name = getattr(tiny_towers, kind)(tmp_path / "files")
    asked = []

    def fetched(repo_id, filename, **options):
        asked.append(filename)
        if not (path := tmp_path / "files" / filename).is_file():
            raise hub.EntryNotFoundError(f"no {filename}")
        return str(path)

    for module in ("featurelens.hub", "open_clip.pretrained", "timm.models._hub"):
        monkeypatch.setattr(f"{module}.hf_hub_download", fetched)
    encoder = zoo.load("hf-hub:someone/tiny")
    assert encoder.name == "hf-hub:someone/tiny" and asked[0] == hub.CONFIG
    torch.testing.assert_close(encoder.encode(X), zoo.load(name).encode(X))
    assert (encoder.text is None) == (kind == "classifier") == (encoder.head is not None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("open_clip/RN50/openai", "RN50: expected RN50-quickgelu for the weights 'openai'"),
        (
            "open_clip/ViT-B-32-quickgelu/laion2b_s34b_b79k",
            "expected ViT-B-32 for the weights 'laion2b_s34b_b79k', which have the other activation",
        ),
    ],
)
def test_weights_with_the_other_activation_are_refused(name, message):
    with pytest.raises(ValueError, match=message) as error:
        zoo.load(name)
    one_line(error)


def test_other_pictures_than_the_weights_were_trained_with_are_refused(folder, tmp_path):
    other = transforms.Compose(
        [transforms.Resize((32, 32)), transforms.ToTensor(), transforms.Normalize((0.4,) * 3, (0.2,) * 3)]
    )
    names = f"local-dir:{folder}", tiny_towers.classifier(tmp_path / "resnet", classes=4)
    for name in names:
        with pytest.raises(
            ValueError, match=r"expected pictures with mean \(0.5, .* found mean \(0.4"
        ) as error:
            zoo.load(name, preprocess=other)
        one_line(error)
        assert zoo.load(name, preprocess=preprocess.square(32)).preprocess.mean == MEAN


def test_the_tag_decides_what_pictures_are_expected(folder, monkeypatch):
    """As with LAION-2B's ViT-L/14, whose mean is 0.5: pictures with open_clip's default are refused."""
    tag = {"file": str(folder / "open_clip_model.safetensors"), "mean": MEAN, "std": STD}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny-clip", {"web": tag})
    assert zoo.load("open_clip/tiny-clip/web").preprocess.mean == MEAN
    evaluation = clips.evaluation
    monkeypatch.setattr(clips, "evaluation", lambda config: evaluation({"size": config["size"]}))
    with pytest.raises(ValueError, match=r"open_clip/tiny-clip/web: expected pictures with mean \(0.5, 0.5"):
        zoo.load("open_clip/tiny-clip/web")


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("openai/RN50", "timm/resnet50_clip.openai"),
        ("laion2b/coca_ViT-L-14", "laion/CoCa-ViT-L-14-laion2B-s13B-b90k"),
        ("hf-hub:laion/CLIP-ViT-B-16-laion2B-s34B-b88K", "laion/CLIP-ViT-B-16-laion2B-s34B-b88K"),
        ("timm/resnet50.tv_in1k", "timm/resnet50.tv_in1k"),
    ],
)
def test_weights_that_cannot_be_fetched_say_what_to_do(name, repository):
    with pytest.raises(scales.Unreachable, match="neither cached nor to be fetched") as error:
        zoo.load(name)
    assert f"`hf download {repository}`" in one_line(error)


def test_names_and_files_that_are_not_there(folder, tmp_path):
    empty, bare = tmp_path / "empty", tmp_path / "bare"
    empty.mkdir()
    for name, error, message in (
        ("opnai/RN50", checks.UnknownNameError, "did you mean openai/RN50"),
        ("open_clip/RN50-quickgelu/opnai", checks.UnknownNameError, "unknown weights of RN50-quickgelu"),
        ("open_clip/RN51/openai", checks.UnknownNameError, "unknown open_clip model 'RN51': did you mean"),
        ("open_clip/RN50/x.safetensors", FileNotFoundError, "expected a file of weights, found none"),
        ("x.safetensors", FileNotFoundError, "expected a file of weights, found none"),
        (f"local-dir:{empty}", FileNotFoundError, "expected open_clip_config.json or config.json"),
        ("timm/vit_base_patch32_plus_256", ValueError, "expected weights of that model, found"),
    ):
        with pytest.raises(error, match=message) as raised:
            zoo.load(name)
        one_line(raised)
    for make in (tiny_towers.clip, tiny_towers.classifier):
        name = make(bare / make.__name__)
        [file] = (bare / make.__name__).glob("*.safetensors")
        file.unlink()
        with pytest.raises((FileNotFoundError, ValueError), match="expected weights") as raised:
            zoo.load(name)
        one_line(raised)


def test_weights_of_another_network_are_refused(folder, tmp_path):
    name = tiny_towers.clip(tmp_path / "resnet", "resnet")
    data = (folder / "open_clip_model.safetensors").read_bytes()
    (tmp_path / "resnet" / "open_clip_model.safetensors").write_bytes(data)
    with pytest.raises(
        ValueError, match=r"expected weights of local-dir:.*, found: Error.* Missing key"
    ) as error:
        zoo.load(name)
    one_line(error)


def test_every_row_of_the_tables_names_weights_that_exist():
    regimes = {"clip-web", "finetuned", "supervised"}
    for name, row in zoo.table().items():
        assert row["regime"] in regimes and row["data"], name
        if row["loader"] == "open_clip":
            clips.check(row["model"], row["weights"])
        elif row["loader"] == "timm":
            cfg = timm.get_pretrained_cfg(row["model"])
            assert name == f"timm/{row['model']}" and cfg.hf_hub_id == row["weights"]
            assert cfg.license == row["licence"].lower()
        else:
            assert row["loader"] == "package" and timm.is_model(row["model"])


def test_the_16_encoders_are_in_the_zoo_by_data_and_backbone():
    rows = [row for row in zoo.table().values() if row["name"].split("/")[0] in DATA]
    assert len([row for row in rows if not row["model"].startswith("coca")]) == 16
    for row in rows:
        assert DATA[row["name"].split("/")[0]] == row["data"]
        assert row["model"].removesuffix("-quickgelu") == row["name"].split("/")[1]


DATA = {
    "openai": "WIT-400M",
    "yfcc15m": "YFCC-15M",
    "cc12m": "CC-12M",
    "laion400m": "LAION-400M",
    "laion2b": "LAION-2B",
    "datacomp": "DataComp",
}
