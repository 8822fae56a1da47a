"""Pictures, classes, captions, weights to start from: what is wrong is counted, recorded or one line."""

import csv
import json
import shutil

import open_clip
import pytest
import torch
from conftest import CLASSES, write_recipe
from safetensors.torch import load_file, save_file

from featurelens import recipes
from featurelens.recipes import captions, data, networks, plan
from featurelens.recipes.train import train

pytestmark = pytest.mark.usefixtures("world")  # the tiny models


def refused(function, *arguments, **options):
    with pytest.raises((ValueError, KeyError, FileNotFoundError, RuntimeError)) as error:
        function(*arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


# Captions


def record(**values):
    given = {
        "filename": "a.JPEG",
        "wnid": "n01",
        "title": " A \n dog",
        "description": "",
        "tags": ["x", "y z"],
    }
    return {**given, **values}


def read(tmp_path, records, parts=("title", "description", "tags"), keys=("n01/a.JPEG", "n02/b.JPEG")):
    (tmp_path / "c.json").write_text(json.dumps(records))
    return captions.read(tmp_path / "c.json", parts, keys)


def test_any_concatenation_of_the_fields(tmp_path):
    for parts, text in {("title",): "A dog", ("tags", "title"): "x y z A dog"}.items():
        assert read(tmp_path, [record()], parts).texts == [text]


def test_what_became_of_each_record_is_counted(tmp_path):
    records = [
        record(),
        record(filename="b.JPEG", wnid="n02"),
        record(wnid="n03"),
        record(title="", tags=[]),
        record(title=None),
        record(tags="x"),
        record(tags=[3]),
        record(filename=None),
        {k: v for k, v in record().items() if k != "description"},
        "text",
    ]
    found = read(tmp_path, records)
    assert found.index == [0, 1] and found.texts == ["A dog x y z"] * 2
    expected = {"records": 10, "captions": 2, "empty": 1, "malformed": 6, "without_picture": 1}
    assert found.counts == expected
    # A field that no caption is made of may be missing.
    assert read(tmp_path, records, ("title",)).counts["malformed"] == 3


def test_captions_that_are_none_are_one_line(tmp_path):
    assert "2 records, 0 empty, 1 malformed, 1 without picture" in refused(
        read, tmp_path, [3, record(wnid="n9")]
    )
    assert "expected a list of records, found dict" in refused(read, tmp_path, {})
    (tmp_path / "c.json").write_bytes(b"\xff\xfe[")
    assert "expected JSON in UTF-8" in refused(captions.read, tmp_path / "c.json", ("title",), [])
    assert "no file" in refused(captions.read, tmp_path / "none.json", ("title",), [])


# Folders and classes


def test_a_folder_has_all_its_classes_or_is_refused(world, tmp_path):
    known = data.classes(world / "classes.txt")
    assert known == (list(CLASSES), list(CLASSES.values()))
    shutil.copytree(world / "train", tmp_path / "train")
    (tmp_path / "train" / "n09").mkdir()
    shutil.copy(world / "train" / "n01" / "n01_0.JPEG", tmp_path / "train" / "n09")
    found = data.folder(tmp_path / "train", known)
    assert len(found.y_N) == 32 and found.facts["left_out"] == 1
    assert [found.classes.wnids[y] for y in found.y_N] == [key[:3] for key in found.files.keys]
    for wnid in ("n02", "n04"):
        shutil.rmtree(tmp_path / "train" / wnid)
    message = refused(data.folder, tmp_path / "train", known)
    assert "each of 4 classes, found none for 2, first n02 (green sea)" in message
    assert "found none for 1000, first n01440764 (tench)" in refused(
        data.folder, world / "train", data.classes(None)
    )
    assert "found none at" in refused(data.folder, tmp_path / "none", known)


def test_wrong_files_of_classes_are_one_line(tmp_path):
    path = tmp_path / "classes.txt"
    for text, expected in {
        "n01\n": "found 'n01'",
        "n01 a\nn01 b\n": "each once",
        "n01 a\n": "two or more",
    }.items():
        path.write_text(text)
        assert expected in refused(data.classes, path)
    assert "no file" in refused(data.classes, tmp_path / "none.txt")


def test_a_plan_that_does_not_fit_is_one_line(world, planned, tmp_path):
    recipe = recipes.read(write_recipe(tmp_path / "r.toml", batch=6))
    given = {"class_names": world / "classes.txt"}
    assert "6 over 4 devices x 1" in refused(plan.plan, recipe, world / "train", devices=4, **given)
    assert "--captions: expected none" in refused(
        plan.plan, recipe, world / "train", captions=world / "c.json"
    )
    recipe = recipes.read(write_recipe(tmp_path / "r.toml", kind="contrastive", caption=["title"], batch=64))
    assert "--captions: expected a JSON file" in refused(plan.plan, recipe, world / "train")
    given |= {"captions": world / "captions.json"}
    assert "batch of 64, found 32" in refused(plan.plan, recipe, world / "train", **given)


def test_the_plan_counts(planned):
    made = planned(kind="contrastive", caption=["title"], accumulate=2, batch=16)
    assert (made.steps_per_epoch, made.steps, made.pass_size) == (2, 4, 8)
    assert made.forward_passes == 2 * 4 * 16 + 2 * 12
    assert planned(accumulate=2).forward_passes == 2 * 32 + 2 * 12


# Pictures that do not decode


def spoilt(world, tmp_path, *names):
    for part in ("train", "val"):
        shutil.copytree(world / part, tmp_path / part)
    for name in names:
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:300])
    recipe = recipes.read(write_recipe(tmp_path / "tiny.toml"))
    return plan.plan(recipe, tmp_path / "train", tmp_path / "val", class_names=world / "classes.txt")


def test_pictures_that_do_not_decode_are_recorded_once_and_replaced(world, tmp_path):
    bad = ["train/n02/n02_3.JPEG", "train/n02/n02_4.JPEG", "val/n01/n01_0.JPEG"]
    train(spoilt(world, tmp_path, *bad), tmp_path / "out")
    with (tmp_path / "out" / "failures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted((row["set"], row["picture"]) for row in rows) == [
        ("training", "n02/n02_3.JPEG"),
        ("training", "n02/n02_4.JPEG"),
        ("validation", "n01/n01_0.JPEG"),
    ]
    assert all("does not decode" in row["reason"] for row in rows)


def test_the_next_picture_takes_the_place_with_its_own_label(world, tmp_path):
    made = spoilt(world, tmp_path, "train/n01/n01_7.JPEG")
    items = data.Items(made.train, lambda image: torch.tensor(image.size), None, 0)
    _, y, failures = items[0, 7]
    assert y == 1 and made.train.y_N[7] == 0 and [key for key, _ in failures] == ["n01/n01_7.JPEG"]
    assert items[None, 7][:2] == (None, None)  # an evaluation leaves it out


def test_too_many_in_a_row_and_none_to_validate_stop_the_run(world, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "MOST_BAD_IN_A_ROW", 3)
    made = spoilt(world, tmp_path, *(f"train/n02/n02_{i}.JPEG" for i in range(5)))
    assert "and so do not the next 2 pictures" in refused(train, made, tmp_path / "out")
    shutil.rmtree(tmp_path / "train"), shutil.rmtree(tmp_path / "val")
    every = [f"val/{wnid}/{wnid}_{i}.JPEG" for wnid in CLASSES for i in range(3)]
    made = spoilt(world, tmp_path, *every)
    assert "found 12 that do not decode" in refused(train, made, tmp_path / "other")
    assert (tmp_path / "other" / "state.pt").exists()  # the epoch is not lost


# Weights to start from


def test_starting_weights_are_never_random_and_never_of_another_network(world, tmp_path):
    message = refused(networks.started, "RN50", "openai")
    assert "expected RN50-quickgelu for the weights 'openai'" in message
    assert "did you mean laion2b" in refused(networks.started, "ViT-B-32", "laion2b_s34")
    assert "unknown open_clip model 'tiny-vut'" in refused(networks.started, "tiny-vut", "openai")
    assert "open_clip's own ResNet or ViT" in refused(networks.blank, "convnext_base")
    assert "Missing key" in refused(networks.started, "tiny-vit", str(world / "tiny-resnet.safetensors"))
    (tmp_path / "x.safetensors").write_bytes(b"no tensors")
    assert "expected safetensors" in refused(networks.started, "tiny-vit", str(tmp_path / "x.safetensors"))


def test_weights_that_no_recipe_wrote_or_that_do_not_fit_are_one_line(world, planned, tmp_path):
    from featurelens.recipes import weights

    assert "found no description" in refused(recipes.load, world / "tiny-vit.safetensors")
    assert "found none at" in refused(recipes.load, tmp_path / "none.safetensors")
    result = train(planned(epochs=1), tmp_path / "a")
    other = train(planned(epochs=1, model="tiny-resnet"), tmp_path / "b")
    for end in (other, world / "tiny-vit.safetensors"):
        assert refused(weights.write_interpolated, result, end, [0.5], tmp_path / "c")
    assert "finite number" in refused(
        weights.write_interpolated, result, result, [0.5, float("nan")], tmp_path / "c"
    )
    assert not (tmp_path / "c").exists()
    info, tensors = weights.info(result), load_file(result)
    tensors.pop("head.bias")
    save_file(tensors, result, {"featurelens": json.dumps(info)})
    assert "Missing key" in refused(recipes.load, result)
    assert "found those of tiny-vit" in refused(networks.started, "tiny-resnet", str(result))


def test_training_crops_are_open_clips_and_evaluation_has_none(tmp_path):
    values = networks.preprocessing(networks.blank("tiny-vit"))
    assert values["mean"] == list(open_clip.OPENAI_DATASET_MEAN) and values["size"] in (32, [32, 32])
    recipe = recipes.read(write_recipe(tmp_path / "r.toml", flip=0.5, rand_augment=9, crop_scale=[0.3, 1.0]))
    names = [type(step).__name__ for step in networks.transform(values, recipe).transforms]
    assert names[:3] == ["RandomResizedCrop", "RandomHorizontalFlip", "RandAugment"]
    assert networks.transform(values, recipe).transforms[0].scale == (0.3, 1.0)
    assert "Random" not in str(networks.transform(values))
