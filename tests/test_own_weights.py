"""Weights of one's own for a timm model: the features of that very network, or one line."""

import pytest
import timm
import torch
from safetensors.torch import save_file
from test_cli import run

from featurelens import own_weights, preprocess, zoo
from featurelens.checks import UnknownNameError

CLASSES = 7


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(1)
    network = timm.create_model("test_resnet", num_classes=CLASSES).eval()
    for norm in (m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        norm.running_mean.uniform_(-1, 1)
    return network


def saved(network, path):
    """A file as a training script may write it."""
    weights = network.state_dict()
    if path.suffix == ".safetensors":
        save_file(weights, path)
    elif path.stem == "checkpoint":
        torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in weights.items()}}, path)
    elif path.stem == "own":
        torch.save({"epoch": 3, "model_state_dict": weights}, path)
    elif path.stem == "lightning.ckpt":
        named = {f"net.backbone.{name}": w for name, w in weights.items()}
        torch.save({"state_dict": named | {"loss.scale": torch.ones(1)}}, path)
    else:
        torch.save(weights, path)
    return path


@pytest.mark.parametrize(
    "file", ["best.pth", "checkpoint.pt", "own.pt", "lightning.ckpt.pt", "best.safetensors"]
)
def test_features_and_head_are_the_networks_own(trained, tmp_path, file):
    encoder = zoo.load(f"timm/test_resnet/{saved(trained, tmp_path / file)}")
    x_NCHW = torch.rand(3, 3, 160, 160)
    with torch.no_grad():
        h_ND = trained.forward_head(trained.forward_features(x_NCHW), pre_logits=True)
        torch.testing.assert_close(encoder.encode(x_NCHW.to(encoder.device))["pre"].cpu(), h_ND)
        torch.testing.assert_close(h_ND @ encoder.head.w_CD.T.cpu() + encoder.head.b_C.cpu(), trained(x_NCHW))
    assert encoder.name == f"timm/test_resnet/{file.rpartition('.')[0]}" and len(encoder.head.w_CD) == CLASSES


def test_weights_without_a_classifier_load_and_have_no_head(trained, tmp_path):
    path = tmp_path / "trunk.pth"
    torch.save({k: v for k, v in trained.state_dict().items() if not k.startswith("fc.")}, path)
    assert zoo.load(f"timm/test_resnet/{path}").head is None


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"hello", "found: KeyError"),
        (b"", "found: EOFError"),
        (torch.zeros(3), "found: AttributeError"),
        ({"epoch": 3, "note": "x"}, "found epoch, note"),
        (
            {"fc.weight": torch.zeros(2, 4)},
            "expected the 92 tensors of test_resnet, found 1, of which 0 fit",
        ),
        (timm.create_model("test_resnet"), "weights_only=True blocked"),
    ],
)
def test_files_that_hold_something_else_are_one_line(tmp_path, capsys, content, found):
    path = tmp_path / "own.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    code, out, err = run(capsys, "scan", f"timm/test_resnet/{path}", "--images", "miniature/base-val")
    assert code == 2 and out == "" and err.count("\n") == 1
    assert err.startswith(f"featurelens: {path}: expected") and found in err


def test_no_file_and_no_model(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a file with weights of test_resnet, found none"):
        own_weights.load("test_resnet", tmp_path / "none.pth")
    with pytest.raises(UnknownNameError, match="did you mean test_resnet"):
        own_weights.load("test_resnett", tmp_path / "none.pth")


def test_a_folder_as_timm_writes_it_is_a_model_to_scan(trained, tmp_path, capsys):
    timm.models.save_for_hf(trained, tmp_path / "mine", model_config={"num_classes": CLASSES})
    code, out, _ = run(capsys, "scan", str(tmp_path / "mine"), "--images", "miniature/v2")
    assert code == 0 and out.startswith("local-dir/mine at pre")


def test_imagenet_normalisation_is_what_timm_says():
    """Its transform holds single-precision tensors, its configuration decimals: they are the same numbers."""
    network = timm.create_model("resnet18", num_classes=0)
    steps = preprocess.from_transform(
        timm.data.create_transform(**timm.data.resolve_data_config(model=network))
    )
    assert steps.mean == network.pretrained_cfg["mean"] and steps.std == network.pretrained_cfg["std"]
    steps.expect("resnet18", network.pretrained_cfg["mean"], network.pretrained_cfg["std"])


def test_a_network_with_two_heads_has_as_many_classes_as_the_first(tmp_path):
    torch.manual_seed(2)
    network = timm.create_model("deit_tiny_distilled_patch16_224", num_classes=CLASSES).eval()
    torch.save(network.state_dict(), tmp_path / "deit.pth")
    encoder = zoo.load(f"timm/deit_tiny_distilled_patch16_224/{tmp_path}/deit.pth")
    x_NCHW = torch.rand(2, 3, 224, 224)
    with torch.no_grad():
        h_ND = network.forward_head(network.forward_features(x_NCHW), pre_logits=True)
    torch.testing.assert_close(encoder.encode(x_NCHW.to(encoder.device))["pre"].cpu(), h_ND)


def test_a_name_of_the_zoo_is_no_folder(trained, tmp_path, monkeypatch):
    timm.models.save_for_hf(trained, tmp_path / "miniature" / "clip-web-vit-s0", model_config={})
    monkeypatch.chdir(tmp_path)
    assert zoo.load("miniature/clip-web-vit-s0").name == "miniature/clip-web-vit-s0"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (
            "runs/best.pth",
            "expected timm/MODEL/FILE, found a file of weights without its model",
        ),
        ("timm/test_resnet/", "expected a file with weights of test_resnet, found none"),
        ("broken", "expected JSON in config.json, found: Expecting"),
    ],
)
def test_names_that_mean_nothing_are_one_line(name, found, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    code, _, err = run(capsys, "scan", name, "--images", "miniature/v2")
    assert code == 2 and found in err and err.count("\n") == 1


def test_pictures_without_finite_features_are_counted_and_their_reason_is_named(tmp_path, trained, capsys):
    broken = {name: w * torch.nan if w.is_floating_point() else w for name, w in trained.state_dict().items()}
    torch.save(broken, tmp_path / "nan.pth")
    code, _, err = run(capsys, "scan", f"timm/test_resnet/{tmp_path}/nan.pth", "--images", "miniature/v2")
    assert code == 2 and "features found" not in err and "without: " in err and err.count("\n") == 1
    assert "finite" in err
