"""A made ImageNet of four classes of stripes and colours, and two tiny CLIPs registered with open_clip."""

import json

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from scipy import stats

from featurelens import imagesets

CLASSES = {"n01": "red square", "n02": "green sea", "n03": "blue sky", "n04": "grey road"}
COLOURS = {"n01": (220, 30, 30), "n02": (30, 200, 40), "n03": (40, 60, 230), "n04": (120, 120, 120)}
PER_CLASS = 8
TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
VIT = {"image_size": 32, "patch_size": 16, "width": 64, "layers": 2, "head_width": 32}
RESNET = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 32}
MODELS = {
    "tiny-vit": {"embed_dim": 32, "quick_gelu": True, "vision_cfg": VIT, "text_cfg": TEXT},
    "tiny-dropping": {"embed_dim": 32, "vision_cfg": {**VIT, "patch_dropout": 0.5}, "text_cfg": TEXT},
    "tiny-resnet": {"embed_dim": 32, "vision_cfg": RESNET, "text_cfg": TEXT},
}


def write_models(folder):
    folder.mkdir(exist_ok=True)
    for name, config in MODELS.items():
        (folder / f"{name}.json").write_text(json.dumps(config))
    return folder


def write_pictures(root, per_class=PER_CLASS, seed=0):
    rng = np.random.default_rng(seed)
    for wnid, colour in COLOURS.items():
        (root / wnid).mkdir(parents=True)
        for i in range(per_class):
            x_HWC = np.clip(np.array(colour) + rng.normal(0, 25, (40, 48, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(x_HWC).save(root / wnid / f"{wnid}_{i}.JPEG")
    return root


def write_captions(path, root):
    records = [
        {
            "filename": file.name,
            "wnid": file.parent.name,
            "title": CLASSES[file.parent.name],
            "tags": ["a photo"],
        }
        for file in sorted(root.rglob("*.JPEG"))
    ]
    path.write_text(json.dumps([{**r, "description": f"number {i}"} for i, r in enumerate(records)]))
    return path


def write_recipe(path, **values):
    """A recipe small enough for a test, with other values where given."""
    given = {"kind": "supervised", "model": "tiny-vit", "epochs": 2, "batch": 8, "lr": 2e-3}
    given |= {"weight_decay": 0.01, "warm_up": 2, "log_every": 2, "save_every": 3, "workers": 0, **values}
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in given.items()))
    return str(path)


def kurtosis(encoder, folder):
    """Mean kurtosis of the features of a folder of pictures, by point, as scipy computes it."""
    images = imagesets.load(folder)
    h = encoder.encode(torch.stack([encoder.preprocess(images[i]) for i in range(len(images))]))
    return {
        point: stats.kurtosis(h_ND.double().numpy(), axis=1, fisher=False).mean() for point, h_ND in h.items()
    }


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """Folder with ``train``, ``val``, ``captions.json``, ``classes.txt`` and ``models``."""
    root = tmp_path_factory.mktemp("world")
    write_pictures(root / "train")
    write_pictures(root / "val", per_class=3, seed=1)
    write_captions(root / "captions.json", root / "train")
    (root / "classes.txt").write_text("".join(f"{wnid} {name}\n" for wnid, name in CLASSES.items()))
    open_clip.add_model_config(write_models(root / "models"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        for model in ("tiny-vit", "tiny-resnet"):
            save_file(open_clip.create_model(model).state_dict(), root / f"{model}.safetensors")
    return root


@pytest.fixture
def planned(world, tmp_path):
    """Function: values of a recipe -> plan on the made pictures."""
    from featurelens import recipes
    from featurelens.recipes import plan

    def make(devices=1, **values):
        recipe = recipes.read(write_recipe(tmp_path / "tiny.toml", **values))
        captions = world / "captions.json" if recipe.kind == "contrastive" else None
        return plan.plan(recipe, world / "train", world / "val", captions, world / "classes.txt", devices)

    return make
