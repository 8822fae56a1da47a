import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip import IMAGENET_CLASSNAMES
from PIL import Image

from featurelens import checks, heads, imagesets, subsets
from featurelens.heads import LinearHead


def table():
    with heads.TABLE.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("name", "rows", "labels"),
    [
        ("val", 1000, 1000),
        ("v2", 1000, 1000),
        ("sketch", 1000, 1000),
        ("r", 200, 200),
        ("a", 200, 200),
        ("objectnet", 125, 113),
    ],
)
def test_rows_and_labels_of_each_set(name, rows, labels):
    subset = subsets.of(name)
    assert len(subset.rows_R) == len(subset.group_R) == rows and len(subset.classes) == labels
    assert subset.rows_R.tolist() == sorted(set(subset.rows_R.tolist()))
    assert subset.group_R.unique().tolist() == list(range(labels))


def test_r_and_a_label_their_own_sorted_wordnet_ids():
    for name in ("r", "a"):
        subset, found = (
            subsets.of(name),
            {row["wnid"]: row for row in table() if row[f"imagenet_{name}"] == "1"},
        )
        for label, wnid in enumerate(sorted(found)):
            row = subset.rows_R[subset.group_R == label]
            assert (
                row.tolist() == [int(found[wnid]["index"])] and subset.classes[label] == found[wnid]["name"]
            )


def test_objectnet_labels_of_several_rows():
    subset = subsets.of("objectnet")
    rows_of = {name: subset.rows_R[subset.group_R == g].tolist() for g, name in enumerate(subset.classes)}
    assert all(table()[row]["objectnet"] == name for name, rows in rows_of.items() for row in rows)
    assert sum(len(rows) > 1 for rows in rows_of.values()) == 9
    assert sum(map(len, rows_of.values())) == 125
    names = heads.imagenet("name")
    assert any(len({names[row] for row in rows}) > 1 for rows in rows_of.values())
    # Where the order of the folders is not that of the names, and where capitals and marks could change it.
    for before, name, after in (
        ("Frying pan", "Bath towel", "Hair dryer"),
        ("Hammer", "Dishrag or hand towel", "Helmet"),
        ("Drinking Cup", "Drying rack for plates", "Envelope"),
        ("Bucket", "Butcher's knife", "Can opener"),
        ("Swimming trunks", "T-shirt", "Teapot"),
        ("Tray", "TV", "Umbrella"),
    ):
        at = subset.classes.index(name)
        assert (subset.classes[at - 1], subset.classes[at + 1]) == (before, after)


mirror = os.environ.get("FEATURELENS_MIRROR")


@pytest.mark.skipif(not mirror, reason="FEATURELENS_MIRROR is unset: the testbed's own files are not here")
def test_the_testbeds_own_files_say_the_same():
    (folders,) = Path(mirror).glob("modestyachts/imagenet-testbed/*/src/eval_settings/objectnet_metadata")
    folder_of = {
        label: f for f, label in json.loads((folders / "folder_to_objectnet_label.json").read_text()).items()
    }
    used = json.loads((folders / "objectnet_to_imagenet_1k.json").read_text())
    subset = subsets.of("objectnet")
    assert subset.classes == sorted(used, key=folder_of.get)
    words = [{name.strip() for name in row.split(",")} for row in heads.imagenet("name")]
    for label, name in enumerate(subset.classes):
        rows = subset.rows_R[subset.group_R == label].tolist()
        synonyms = used[name].split("; ")
        assert len(synonyms) == len(rows)
        assert all(any(set(s.split(", ")) <= words[row] for row in rows) for s in synonyms)
    lists = list(csv.DictReader((Path(mirror) / "derived" / "imagenet_class_subsets.csv").open()))
    assert [(r["imagenet_r"], r["imagenet_a"], r["objectnet"]) for r in lists] == [
        (r["imagenet_r"], r["imagenet_a"], r["objectnet"]) for r in table()
    ]


@pytest.mark.parametrize("name", subsets.NAMES)
@pytest.mark.parametrize("bias", [False, True])
def test_accuracy_is_that_of_a_loop_over_images_and_classes(name, bias):
    generator = torch.Generator().manual_seed(3)
    h_ND, w_CD = torch.randn(60, 12, generator=generator), torch.randn(1000, 12, generator=generator)
    whole = LinearHead(w_CD, torch.randn(1000, generator=generator) if bias else None, "joint")
    subset = subsets.of(name)
    part = subsets.head(whole, name)
    found = subset.predict(heads.logits(h_ND, part.w_CD, part.b_C)).tolist()
    column = {"r": "imagenet_r", "a": "imagenet_a", "objectnet": "objectnet"}.get(name)
    expected = []
    for h_D in h_ND:
        best, label = -np.inf, None
        for row in table():
            if column and row[column] in ("", "0"):
                continue
            i = int(row["index"])
            score = float(h_D @ w_CD[i]) + (float(whole.b_C[i]) if bias else 0)
            if score > best:
                best = score
                label = row["objectnet"] if name == "objectnet" else row["name"]
        expected.append(label)
    assert [subset.classes[label] for label in found] == expected
    assert part.point == "joint" and (part.b_C is None) == (not bias)


def test_any_row_of_a_label_is_right_and_rows_of_no_label_never_win():
    subset = subsets.of("objectnet")
    label = int((subset.group_R.bincount() > 1).nonzero()[0])
    members = subset.rows_R[subset.group_R == label]
    scores_NC = torch.zeros(len(members), 1000)
    scores_NC[:, ~torch.isin(torch.arange(1000), subset.rows_R)] = 9  # ImageNet's other 875 classes
    scores_NC[torch.arange(len(members)), members] = 1
    assert subset.predict(scores_NC[:, subset.rows_R]).tolist() == [label] * len(members)


def test_v2_as_a_folder_tree_is_not_sorted_as_text(tmp_path):
    """torchvision's ImageFolder would call folder 10 the third class."""
    data = io.BytesIO()
    Image.new("RGB", (2, 2)).save(data, "JPEG")
    for i in range(1000):
        (tmp_path / "v2" / str(i)).mkdir(parents=True)
        (tmp_path / "v2" / str(i) / "a.jpeg").write_bytes(data.getvalue())
    images = imagesets.load(tmp_path / "v2")
    assert [key.split("/")[0] for key in images.keys] == sorted(map(str, range(1000)))
    assert images.y_N.tolist() == [int(key.split("/")[0]) for key in images.keys]
    assert [int(name) for name in images.classes] == list(range(1000))
    subset = subsets.of("v2")
    scores_NR = torch.eye(1000)[images.y_N]  # a head that is always right
    assert torch.equal(subset.predict(scores_NR), images.y_N)
    as_text = [sorted(map(str, range(1000))).index(key.split("/")[0]) for key in images.keys]
    assert (torch.tensor(as_text) == images.y_N).float().mean() < 0.02


def test_v2_of_four_classes_keeps_their_order(tmp_path):
    for name in ("0", "1", "10", "2"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (2, 2)).save(tmp_path / name / "a.png")
    images = imagesets.load(tmp_path)
    assert images.classes == ["0", "1", "2", "10"] and images.y_N.tolist() == [0, 1, 3, 2]


def test_lists_of_names_that_fit():
    for name in subsets.NAMES:
        subset = subsets.of(name)
        subsets.fit(
            name, subset.classes if name == "objectnet" else [c.split(",")[-1] for c in subset.classes]
        )
        if name != "objectnet":
            subsets.fit(name, [IMAGENET_CLASSNAMES[row].upper() for row in subset.rows_R])
    subsets.fit("objectnet", [name.lower().replace("/", " / ") for name in subsets.of("objectnet").classes])
    edited = list(IMAGENET_CLASSNAMES)
    edited[::20] = ["a new name"] * 50
    subsets.fit("val", edited)


@pytest.mark.parametrize("name", subsets.NAMES)
def test_lists_of_names_that_do_not_fit(name):
    classes = subsets.of(name).classes
    with pytest.raises(
        ValueError, match=rf"^{name}: expected {len(classes)} class names, found {len(classes) - 1}$"
    ):
        subsets.fit(name, classes[1:])
    with pytest.raises(
        ValueError, match=rf"^{name}: expected class 0 to be .*, found .*; \d+ of {len(classes)} names"
    ):
        subsets.fit(name, classes[1:] + classes[:1])


def test_bad_input():
    with pytest.raises(
        checks.UnknownNameError, match="unknown set of ImageNet's classes 'objectnett': did you mean obj"
    ):
        subsets.of("objectnett")
    with pytest.raises(ValueError, match=r"expected a head of ImageNet's 1,000 classes, found 200"):
        subsets.head(LinearHead(torch.zeros(200, 4), None, "joint"), "a")
    with pytest.raises(ValueError, match=r"expected scores of 125 rows for each image, found \(3, 1000\)"):
        subsets.of("objectnet").predict(torch.zeros(3, 1000))
