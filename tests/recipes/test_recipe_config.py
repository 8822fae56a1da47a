"""Recipes as data: what ships reads, and what is wrong is one line that names the key."""

import dataclasses
import tomllib

import open_clip
import pytest
from conftest import write_recipe
from open_clip.pretrained import get_pretrained_cfg

from featurelens import recipes
from featurelens.recipes import config

SHIPPED = {
    *(f"imagenet-captions-{tower}" for tower in ("rn50", "vit-b-32", "vit-b-16")),
    *(f"finetuned-{tower}" for tower in ("rn50", "rn101", "vit-b-32", "vit-b-16")),
    *(f"supervised-{tower}" for tower in ("rn50", "vit-b-32")),
}


def test_the_controls_are_there():
    assert set(recipes.names()) == SHIPPED


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_shipped_recipe_reads_and_its_towers_are_those_of_the_tag(name):
    r = recipes.read(name)
    assert r.name == name and r.kind == {"i": "contrastive", "f": "finetuned", "s": "supervised"}[name[0]]
    tower = name.split("-", 2)[-1] if name.startswith("imagenet") else name.split("-", 1)[1]
    assert r.model.lower() == f"{tower}-quickgelu" and r.model in open_clip.list_models()
    assert r.channels_last == ("rn" in tower)
    if r.start:
        assert get_pretrained_cfg(r.model, r.start)["quick_gelu"]
    assert tomllib.loads(config.text(r)) == r.plain()


def test_finetuning_is_that_of_wise_ft():
    r = recipes.read("finetuned-vit-b-16")
    assert (r.start, r.epochs, r.lr, r.weight_decay, r.batch, r.warm_up, r.clip) == (
        "openai", 10, 3e-5, 0.1, 512, 500, 1.0
    )  # fmt: skip
    assert r.decay_vectors and r.crop_scale == (0.9, 1.0) and not r.flip


def test_changes_are_typed_like_the_file():
    changes = ["lr=1", 'caption=["tags"]', "name=other", "channels_last = true", "precision=32-true"]
    r = recipes.read("imagenet-captions-rn50", changes)
    assert type(r.lr) is float and r.lr == 1.0 and r.caption == ("tags",) and r.name == "other"
    assert r.channels_last is True and r.precision == "32-true"


def test_a_recipe_inherits_from_its_neighbour_and_from_those_that_ship(tmp_path):
    (tmp_path / "mine.toml").write_text('inherits = "finetuned-rn50"\nseed = 7\n')
    (tmp_path / "next.toml").write_text('inherits = "mine"\nepochs = 3\n')
    r = recipes.read(str(tmp_path / "next.toml"))
    expected = dataclasses.replace(recipes.read("finetuned-rn50"), name="next", seed=7, epochs=3)
    assert r == expected


WRONG = [
    ({"epoch": 3}, "unknown key 'epoch'", "epochs"),
    ({"epochs": "3"}, "epochs: expected int", "'3'"),
    ({"epochs": True}, "epochs: expected int", "True"),
    ({"epochs": 0}, "epochs: expected a positive number", "0"),
    ({"lr": -1.0}, "lr: expected a positive number", "-1.0"),
    ({"kind": "selfsupervised"}, "kind: expected one of contrastive", "selfsupervised"),
    ({"precision": "16-true"}, "precision: expected one of 32-true", "16-true"),
    ({"batch": 8, "accumulate": 3}, "accumulate: expected a divisor", "3"),
    ({"betas": [0.9]}, "betas: expected two numbers", "0.9"),
    ({"betas": 0.9}, "betas: expected a list", "0.9"),
    ({"eps": -1e-8}, "eps: expected a number from 0", "-1e-08"),
    ({"accumulate": 0}, "accumulate: expected a divisor", "0"),
    ({"crop_scale": [1.0, 0.5]}, "crop_scale: expected two shares", "0.5"),
    ({"flip": 1.5}, "flip: expected a probability", "1.5"),
    ({"seed": -1}, "seed: expected 0 to", "-1"),
    ({"warm_up": -1}, "warm_up: expected a number from 0", "-1"),
    ({"caption": ["title"]}, "caption: expected none for a supervised", "title"),
    ({"kind": "contrastive", "caption": ["titel"]}, "caption: expected some of title", "titel"),
    ({"kind": "contrastive", "caption": ["tags", "tags"]}, "caption: expected some of", "tags"),
    ({"kind": "contrastive"}, "caption: expected some of title", "()"),
    ({"kind": "finetuned"}, "start: expected weights for a finetuned", "''"),
    ({"start": "openai"}, "start: expected weights for a finetuned", "openai"),
]


@pytest.mark.parametrize(("values", "expected", "found"), WRONG, ids=[w[1][:40] for w in WRONG])
def test_wrong_values_are_one_line(values, expected, found, tmp_path):
    with pytest.raises((ValueError, KeyError)) as error:
        recipes.read(write_recipe(tmp_path / "mine.toml", **values))
    message = str(error.value)
    assert message.startswith("mine: ") and expected in message and found in message and "\n" not in message


def refused(*arguments):
    with pytest.raises((ValueError, KeyError, FileNotFoundError)) as error:
        recipes.read(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_wrong_files_and_changes_are_one_line(tmp_path):
    assert "did you mean finetuned-rn50" in refused("finetune-rn50")
    assert "_finetuned" not in refused("finetuned") and "no file" in refused(str(tmp_path / "none.toml"))
    assert "expected key=value, found 'lr'" in refused("finetuned-rn50", ["lr"])
    assert "unknown key of a recipe 'learning'" in refused("finetuned-rn50", ["learning=1"])
    (tmp_path / "a.toml").write_text("epochs = = 3\n")
    assert refused(str(tmp_path / "a.toml")).startswith("a.toml: expected TOML")
    (tmp_path / "a.toml").write_text("epochs = 3\n")
    assert "found none for kind, model, batch" in refused(str(tmp_path / "a.toml"))
    (tmp_path / "a.toml").write_text('inherits = "nobody"\n')
    assert "no file" in refused(str(tmp_path / "a.toml"))
    (tmp_path / "a.toml").write_text("inherits = 3\n")
    assert "inherits: expected the name" in refused(str(tmp_path / "a.toml"))
    (tmp_path / "a.toml").write_text('inherits = "b"\n')
    (tmp_path / "b.toml").write_text('inherits = "a"\n')
    assert "inherits from itself" in refused(str(tmp_path / "a.toml"))
