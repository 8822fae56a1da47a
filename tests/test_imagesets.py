import io
import os
import pickle
import tarfile
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from featurelens import checks, files, heads, imagesets, labels, scales


def jpeg(colour=0, size=(20, 12)):
    buffer = io.BytesIO()
    Image.new("RGB", size, (colour, 0, 0)).save(buffer, "JPEG")
    return buffer.getvalue()


def folder(root, contents):
    for key, data in contents.items():
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(data)
    return root


def tar(path, contents):
    with tarfile.open(path, "w") as archive:
        for key, data in contents.items():
            member = tarfile.TarInfo(key)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


CLASSES = {"cat/b.jpg": jpeg(20), "cat/a.png": jpeg(10), "ant/c.JPEG": jpeg(30)}


def test_folder_tree_has_its_folders_as_classes(tmp_path):
    images = imagesets.load(folder(tmp_path / "set", {**CLASSES, "labels.csv": b"x", ".hidden/d.jpg": b"x"}))
    assert images.name == "set" and images.classes == ["ant", "cat"]
    assert images.keys == ["ant/c.JPEG", "cat/a.png", "cat/b.jpg"] and images.y_N.tolist() == [0, 1, 1]
    assert [image.getpixel((0, 0))[0] for image in images] == pytest.approx([30, 10, 20], abs=2)


def test_tar_reads_like_the_folder(tmp_path):
    tree = imagesets.load(folder(tmp_path / "set", CLASSES))
    for prefix in ("", "./", "set/"):
        packed = imagesets.load(tar(tmp_path / "set.tar", {prefix + k: v for k, v in CLASSES.items()}))
        assert packed.keys == tree.keys and packed.identity == tree.identity
        assert all(np.array_equal(a, b) for a, b in zip(packed, tree, strict=True))


def test_plain_folder_has_no_labels(tmp_path):
    images = imagesets.load(str(folder(tmp_path, {"b.jpg": jpeg(), "x/a.jpg": jpeg()})))
    assert images.y_N is None and images.classes == [] and images.keys == ["b.jpg", "x/a.jpg"]


def test_integer_folders_sort_as_integers(tmp_path):
    images = imagesets.load(folder(tmp_path, {f"{i}/a.jpg": jpeg() for i in range(12)}))
    assert images.classes == [str(i) for i in range(12)]
    assert dict(zip(images.keys, images.y_N.tolist(), strict=True))["10/a.jpg"] == 10


def test_identity_follows_names_and_contents_not_the_place(tmp_path):
    one, same = (imagesets.load(folder(tmp_path / n / "set", CLASSES)).identity for n in ("x", "y"))
    more = imagesets.load(folder(tmp_path / "z" / "set", {**CLASSES, "ant/d.jpg": jpeg()})).identity
    longer = imagesets.load(
        folder(tmp_path / "w" / "set", {**CLASSES, "cat/b.jpg": CLASSES["cat/b.jpg"] + b"0"})
    ).identity
    cat = CLASSES["cat/b.jpg"]
    changed = imagesets.load(
        folder(tmp_path / "v" / "set", {**CLASSES, "cat/b.jpg": cat[:-1] + bytes([cat[-1] ^ 1])})
    ).identity
    assert one == same and len({i["sha256"] for i in (one, more, longer, changed)}) == 4


@pytest.mark.parametrize(
    "data", [b"", b"not a picture at all", jpeg()[: len(jpeg()) // 2]], ids=["empty", "text", "truncated"]
)
def test_a_file_that_does_not_decode_is_named_with_the_reason(tmp_path, data):
    images = imagesets.load(folder(tmp_path, {"good.jpg": jpeg(), "bad.jpg": data}))
    with pytest.raises(files.ImageError, match=r"^bad.jpg \(\d+ bytes\) does not decode: [^<>\n]+$"):
        images[0]
    assert images[1].size == (20, 12)


@pytest.mark.parametrize("mode", ["L", "CMYK", "P"])
def test_every_picture_is_rgb(tmp_path, mode):
    suffix = "jpg" if mode == "CMYK" else "png"
    Image.new(mode, (5, 4)).save(tmp_path / f"a.{suffix}")
    assert imagesets.load(tmp_path)[0].mode == "RGB"


def test_threads_and_copies_of_a_set_read_the_same(tmp_path):
    images = imagesets.load(tar(tmp_path / "set.tar", {f"{i:03d}.jpg": jpeg(i) for i in range(100)}))
    copy = pickle.loads(pickle.dumps(images))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: copy[i].getpixel((0, 0))[0], range(100)))
    assert found == [images[i].getpixel((0, 0))[0] for i in range(100)]


def test_index_out_of_range(tmp_path):
    images = imagesets.load(folder(tmp_path, {"a.jpg": jpeg()}))
    with pytest.raises(IndexError, match="expected an index from 0 to 0, found 1"):
        images[1]
    assert len(list(images)) == 1


def test_bad_paths(tmp_path):
    with pytest.raises(ValueError, match=r"expected pictures in .*, found 0 other files"):
        imagesets.load(tmp_path)
    (tmp_path / "one.jpg").write_bytes(jpeg())
    with pytest.raises(
        ValueError, match=r"expected a folder or an uncompressed .tar .*, found the file one.jpg"
    ):
        imagesets.load(tmp_path / "one.jpg")
    for missing in (tmp_path / "no", "./no", "no.tar"):
        with pytest.raises(
            FileNotFoundError, match=r"expected a folder or .tar of pictures, found nothing at"
        ):
            imagesets.load(missing)


class FakeSet:
    x_NHWC = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    y_N = torch.tensor([1, 0])
    classes = ("cube", "ring")

    def __len__(self):
        return 2


@pytest.fixture
def fake_miniature(monkeypatch):
    sets = SimpleNamespace(names=lambda: ["base-val"], load=lambda name: FakeSet())
    monkeypatch.setattr(imagesets, "_miniature", lambda: sets)


def test_rendered_sets_give_their_pixels(fake_miniature):
    images = imagesets.load("miniature/base-val")
    assert images.classes == ["cube", "ring"] and images.y_N.tolist() == [1, 0] and len(images) == 2
    assert np.array_equal(np.array(images[1]), FakeSet.x_NHWC[1])
    assert set(images.identity) == {"images", "count", "sha256"}


@pytest.mark.parametrize(
    ("name", "near"),
    [("pacs6", "pacs60"), ("miniature/base-vall", "miniature/base-val"), ("pacs/60", "pacs60")],
)
def test_unknown_names_are_refused_with_near_ones(fake_miniature, name, near):
    with pytest.raises(checks.UnknownNameError, match=f"unknown image set '{name}': did you mean {near}"):
        imagesets.load(name)


def test_a_missing_set_says_which_variable_to_set(monkeypatch, tmp_path):
    monkeypatch.delenv("FEATURELENS_IMAGES", raising=False)
    with pytest.raises(
        scales.Unreachable, match=r"set FEATURELENS_IMAGES to the folder of pacs60.tar \(it is"
    ):
        imagesets.load("pacs60")
    monkeypatch.setenv("FEATURELENS_IMAGES", str(tmp_path))
    with pytest.raises(scales.Unreachable, match="no such file in"):
        imagesets.load("pacs60")


def test_another_tar_under_a_listed_name_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("FEATURELENS_IMAGES", str(tmp_path))
    tar(tmp_path / "dtd10.tar", CLASSES)
    with pytest.raises(ValueError, match=r"dtd10.tar: expected sha256 12bb9bdd9851…, found"):
        imagesets.load("dtd10")


def test_labels_in_file_names():
    names, y, _ = labels.by_wnid(["n01443537_goldfish.JPEG", "n15075141_toilet_tissue.JPEG"])
    assert y == [1, 999] and len(names) == 1000 and names[1].startswith("goldfish")
    classes, y, more = labels.by_shape(["knife1-cat12.jpg", "truck9-truck3.jpg"])
    assert [classes[i] for i in y] == ["knife", "truck"] and more == {"texture": ["cat", "truck"]}
    assert labels.by_shape(["knife1.jpg"])[2] == {}
    classes, y, more = labels.by_domain(["photo/dog/1.jpg", "sketch/cat/1.png"])
    assert classes == ["cat", "dog"] and y == [1, 0] and more == {"domain": ["photo", "sketch"]}
    assert labels.frames_and_masks(["annot/a.png", "annot/b.png", "img/b.jpg", "img/a.jpg"]) == (
        [2, 3],
        [1, 0],
    )


needs_images = pytest.mark.skipif(
    not os.environ.get("FEATURELENS_IMAGES"), reason="FEATURELENS_IMAGES is unset: no real image sets here"
)


@needs_images
@pytest.mark.parametrize(
    ("name", "count", "classes"),
    [
        ("imagenet_sample1000", 1000, 1000),
        ("geirhos_cue_conflict", 1280, 16),
        ("geirhos_edges", 160, 16),
        ("geirhos_filled-silhouettes", 160, 16),
        ("pacs60", 1680, 7),
        ("dtd10", 1200, 10),
    ],
)
def test_real_sets_are_balanced_as_their_card_says(name, count, classes):
    images = imagesets.load(name)
    assert len(images) == count and len(images.classes) == classes
    assert images.y_N.bincount().tolist() == [count // classes] * classes
    assert images[count - 1].mode == "RGB"


@needs_images
def test_real_label_columns():
    conflict = imagesets.load("geirhos_cue_conflict")
    shapes = [conflict.classes[y] for y in conflict.y_N]
    assert sum(a == b for a, b in zip(shapes, conflict.attributes["texture"], strict=True)) == 80
    assert sorted(set(imagesets.load("pacs60").attributes["domain"])) == [
        "art_painting",
        "cartoon",
        "photo",
        "sketch",
    ]
    assert imagesets.load("imagenet_sample1000").classes == heads.imagenet("name")


@needs_images
def test_real_masks_have_the_shares_of_their_card():
    images = imagesets.load("camvid_val")
    count = sum(torch.bincount(images.mask(i).flatten().long(), minlength=12) for i in range(len(images)))
    share = [9.2, 26.0, 0.6, 29.0, 8.7, 16.3, 0.9, 3.1, 1.8, 0.7, 2.2, 1.7]
    assert len(images.classes) == 12
    assert (100 * count / count.sum()).tolist() == pytest.approx(share, abs=0.06)


def test_miniature_sets_are_image_sets(monkeypatch):
    from featurelens.miniature import sets

    whole = sets.load
    monkeypatch.setattr(sets, "load", lambda name: whole(name, limit=6))
    images, made = imagesets.load("miniature/v2"), whole("v2", limit=6)
    assert images.name in imagesets.names() and len(images) == len(made) == 6
    assert images.classes == list(made.classes) and torch.equal(images.y_N, made.y_N.long())
    assert np.array_equal(np.stack([np.array(image) for image in images]), made.x_NHWC)
