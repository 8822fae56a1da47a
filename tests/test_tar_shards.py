"""Shards are written by webdataset, read by it too, and compared."""

import hashlib
import io
import os
import pickle
import tarfile

import numpy as np
import pytest
import torch
import webdataset
from PIL import Image

from featurelens import conceptsets, files, imagesets, tar_shards


def png(seed, size=(9, 7)):
    x = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(x).save(data, "PNG")
    return data.getvalue()


SAMPLES = 26
CLASSES = ["tench", "missile", "missile", "ice  cream"]


@pytest.fixture
def packed(tmp_path):
    """12 tars, so that their order as text is another than as numbers."""
    root = tmp_path / "wds_toy"
    (root / "test").mkdir(parents=True)
    with webdataset.ShardWriter(str(root / "test" / "%d.tar"), maxcount=2, verbose=0) as out:
        for i in range(SAMPLES):
            out.write({"__key__": f"s{i:07d}", "png": png(i), "cls": i % 4, "json": {"note": i}})
        count = out.shard
    (root / "test" / "nshards.txt").write_text(f"{count}\n")
    (root / "classnames.txt").write_text("\n".join(CLASSES) + "\n")
    return root


def shards(root, tars, split="test", classes=("a", "b")):
    """Tars of (name, bytes), written by the standard library."""
    (root / split).mkdir(parents=True, exist_ok=True)
    for i, contents in enumerate(tars):
        with tarfile.open(root / split / f"{i}.tar", "w") as archive:
            for name, data in contents:
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    (root / split / "nshards.txt").write_text(str(len(tars)))
    (root / "classnames.txt").write_text("\n".join(classes))
    return root


def test_webdataset_reads_the_same_keys_labels_and_pixels(packed):
    images = imagesets.load(packed)
    urls = [str(packed / "test" / f"{i}.tar") for i in range(13)]
    rows = list(webdataset.WebDataset(urls, shardshuffle=False, empty_check=False).decode("pilrgb"))
    assert len(images) == len(rows) == SAMPLES and images.classes == CLASSES
    assert [key.split("/")[1] for key in images.keys] == [f"{row['__key__']}.png" for row in rows]
    assert images.y_N.tolist() == [row["cls"] for row in rows] and images.y_N.dtype == torch.int64
    assert all(np.array_equal(images[i], row["png"]) for i, row in enumerate(rows))
    assert np.array_equal(images[17], Image.open(io.BytesIO(png(17))))


def test_labels_of_shards_are_concepts(tmp_path):
    contents = [
        (f"{i}.{kind}", data) for i in range(4) for kind, data in (("png", png(i)), ("cls", b"%d" % (i % 2)))
    ]
    concepts = conceptsets.load(shards(tmp_path / "set", [contents]))
    assert concepts.names == ["a", "b"] and concepts.present_NT.int().tolist() == [[1, 0], [0, 1]] * 2


def test_order_is_that_of_the_numbers_and_within_a_tar_its_own(packed, tmp_path):
    assert [key.split("/")[0] for key in imagesets.load(packed).keys] == [str(i // 2) for i in range(SAMPLES)]
    contents = [("z.png", png(0)), ("a.cls", b"1"), ("z.cls", b"0\n"), ("a.png", png(1))]
    images = imagesets.load(shards(tmp_path / "set", [contents]))
    assert images.keys == ["0/z.png", "0/a.png"] and images.y_N.tolist() == [0, 1]


def test_identity_is_of_keys_and_sizes_not_of_the_place(packed, tmp_path):
    images = imagesets.load(packed)
    lines = "".join(f"{i // 2}/s{i:07d}.png {len(png(i))}\n" for i in range(SAMPLES))
    digest = hashlib.sha256(lines.encode()).hexdigest()
    assert images.identity == {"images": "wds_toy", "count": "26", "sha256": digest}
    packed.rename(tmp_path / "other")
    assert imagesets.load(tmp_path / "other").identity["sha256"] == digest


def test_the_split_itself_and_other_splits(packed, tmp_path, monkeypatch):
    whole, split = imagesets.load(packed), imagesets.load(packed / "test")
    assert whole.name == split.name == "wds_toy" and whole.identity == split.identity
    monkeypatch.chdir(packed / "test")
    assert imagesets.load(".").name == "wds_toy"
    one = [("a.png", png(0)), ("a.cls", b"0")]
    shards(packed, [one], split="train", classes=CLASSES)
    assert len(imagesets.load(packed)) == SAMPLES  # test comes first
    train = imagesets.load(packed / "train")
    assert len(train) == 1 and train.name == train.identity["images"] == "wds_toy-train"
    only = shards(tmp_path / "only", [one], split="val")
    assert imagesets.load(only).name == imagesets.load(only / "val").name == "only-val"
    shards(only, [one], split="train")
    with pytest.raises(
        ValueError, match=r"^only: expected one split or one called test, found train and val"
    ):
        imagesets.load(only)


def test_a_folder_without_shards_is_a_folder_of_pictures(tmp_path):
    (tmp_path / "set" / "test").mkdir(parents=True)
    (tmp_path / "set" / "test" / "a.png").write_bytes(png(0))
    assert tar_shards.split_of(tmp_path / "set") is None
    assert imagesets.load(tmp_path / "set").classes == ["test"]


def test_copies_of_the_set_read_alone(packed):
    images = imagesets.load(packed)
    cloudpickle = pytest.importorskip("ray.cloudpickle")
    for copy in (pickle.loads(pickle.dumps(images)), cloudpickle.loads(cloudpickle.dumps(images))):
        assert copy.keys == images.keys and np.array_equal(copy[25], images[25])


def test_names_of_files_as_webdataset_reads_them(tmp_path):
    contents = [
        ("./x/s0.seg.JPEG.png", png(0)),  # the sample is what is before the first dot
        ("./x/s0.cls", b"1"),
        ("x/._s0.png", b"left by another system"),
        ("s1..png", png(1)),  # an old converter wrote two dots
        ("s1.cls", b"0"),
        ("__readme.txt", b"words"),
    ]
    images = imagesets.load(shards(tmp_path / "set", [contents]))
    assert images.keys == ["0/x/s0.seg.JPEG.png", "0/s1..png"] and images.y_N.tolist() == [1, 0]
    assert np.array_equal(images[0], Image.open(io.BytesIO(png(0))))


def test_a_broken_picture_is_named_and_costs_no_other(tmp_path):
    contents = [("a.png", png(0)[:60]), ("a.cls", b"0"), ("b.png", png(1)), ("b.cls", b"1")]
    images = imagesets.load(shards(tmp_path / "set", [contents]))
    with pytest.raises(files.ImageError, match=r"^0/a.png \(60 bytes\) does not decode: "):
        images[0]
    assert images[1].size == (9, 7)


PICTURE, LABEL = ("s.png", png(0)), ("s.cls", b"1")


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ([PICTURE], r"^0.tar: expected a label with s.png, found none$"),
        ([LABEL], r"^0.tar: expected a picture with s.cls, found none$"),
        ([PICTURE, LABEL, ("s.jpg", b"x")], r"^0.tar: expected one picture a sample, found s.png and s.jpg$"),
        ([PICTURE, LABEL, LABEL], r"^0.tar: expected one label a sample, found s.cls and s.cls$"),
        ([PICTURE, ("s.cls", b"2")], r"^0.tar: expected a class from 0 to 1 in s.cls, found '2'$"),
        ([PICTURE, ("s.cls", b"-1")], r"^0.tar: expected a class from 0 to 1 in s.cls, found '-1'$"),
        ([PICTURE, ("s.cls", b"cat")], r"^0.tar: expected a class from 0 to 1 in s.cls, found 'cat'$"),
        ([PICTURE, ("s.cls", b"")], r"^0.tar: expected a class from 0 to 1 in s.cls, found ''$"),
        ([("readme.txt", b"x")], r"^set: expected samples, found none in 1 tars$"),
    ],
)
def test_samples_that_do_not_fit(tmp_path, contents, message):
    with pytest.raises(ValueError, match=message):
        imagesets.load(shards(tmp_path / "set", [contents]))


def test_missing_and_damaged_parts(packed, tmp_path):
    test = packed / "test"
    (test / "7.tar").rename(tmp_path / "away.tar")
    with pytest.raises(FileNotFoundError, match=r"^expected 13 tars, as nshards.txt says, found no 7.tar$"):
        imagesets.load(packed)
    with tarfile.open(test / "7.tar", "w:gz") as archive:
        archive.add(packed / "classnames.txt", "s.cls")
    with pytest.raises(ValueError, match=r"^7.tar: expected an uncompressed .tar, found: [^\n]+$"):
        imagesets.load(packed)
    (test / "7.tar").write_bytes((tmp_path / "away.tar").read_bytes()[:1200])
    with pytest.raises(ValueError, match=r"^7.tar: expected an uncompressed .tar, found: [^\n]+$"):
        imagesets.load(packed)
    (test / "7.tar").write_bytes((tmp_path / "away.tar").read_bytes())
    (test / "nshards.txt").write_text("many\n")
    with pytest.raises(ValueError, match=r"^nshards.txt: expected the number of tars, found 'many'$"):
        imagesets.load(packed)
    (test / "nshards.txt").write_text("13")
    (packed / "classnames.txt").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"^wds_toy: expected classnames.txt, one class a line, found"
    ):
        imagesets.load(packed)


def test_a_real_set_packed_as_shards_is_the_same_set(tmp_path):
    if not os.environ.get("FEATURELENS_IMAGES"):
        pytest.skip("FEATURELENS_IMAGES is unset: no real image sets here")
    real = imagesets.load("imagenet_sample1000")
    source = real.decode.__self__
    root = tmp_path / "packed"
    (root / "test").mkdir(parents=True)
    with webdataset.ShardWriter(str(root / "test" / "%d.tar"), maxcount=300, verbose=0) as out:
        for i, key in enumerate(real.keys):
            out.write({"__key__": key.removesuffix(".JPEG"), "jpg": source.read(i), "cls": int(real.y_N[i])})
    (root / "test" / "nshards.txt").write_text("4")
    (root / "classnames.txt").write_text("\n".join(real.classes))
    images = imagesets.load(root)
    assert [key.split("/")[1].replace(".jpg", ".JPEG") for key in images.keys] == real.keys
    assert torch.equal(images.y_N, real.y_N) and images.classes == real.classes
    assert all(np.array_equal(images[i], real[i]) for i in range(len(real)))
