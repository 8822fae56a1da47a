"""Feature files of every kind: the same matrix comes out, and what cannot be one is said in one line."""

import json

import made_features as made
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from featurelens import extract, scan_features
from featurelens.encoder import wrap
from featurelens.imagesets import ImageSet
from featurelens.preprocess import square
from featurelens.store import FeatureStore

H_ND = made.gaussian(12, 16)


class Colours(torch.nn.Module):
    """A network with two points."""

    def forward(self, x):
        pixels = x[:, :, ::4, ::4].flatten(1)
        return {"pre": pixels, "joint": pixels[:, :5] * 2}


def picture(i):
    return Image.fromarray(np.random.default_rng(i).integers(0, 255, (8, 8, 3), dtype=np.uint8))


def images(name="drawn", count=10):
    identity = {"images": name, "count": str(count), "sha256": name}
    return ImageSet(name, [str(i) for i in range(count)], [], None, identity, picture)


@pytest.fixture
def store(tmp_path):
    store = FeatureStore(tmp_path / "store", shard_rows=4)
    extract.extract(wrap("own/colours", Colours(), square(8)), images(), store)
    return store


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2"])
def test_npy(tmp_path, dtype):
    np.save(tmp_path / "mine.npy", H_ND.numpy().astype(dtype))
    given = scan_features.load(tmp_path / "mine.npy")
    assert given.name == "mine" and given.point == "" and np.allclose(given.h_ND, H_ND, atol=2e-3)
    assert given.h_ND.is_floating_point()


def test_safetensors_with_one_matrix_or_the_one_named(tmp_path):
    path = tmp_path / "mine.safetensors"
    save_file({"features": H_ND, "labels": torch.arange(12)}, path)
    assert scan_features.load(path).h_ND.equal(H_ND)
    save_file({"pre": H_ND, "joint": 2 * H_ND, "row": torch.arange(12)}, path)
    given = scan_features.load(path, "joint")
    assert given.h_ND.equal(2 * H_ND) and given.point == "joint"
    with pytest.raises(ValueError, match=r"expected one matrix, or the name of one, found joint, pre$"):
        scan_features.load(path)
    with pytest.raises(ValueError, match="expected 'jiont' among what it holds, found joint, pre, row"):
        scan_features.load(path, "jiont")
    with pytest.raises(ValueError, match=r"expected a matrix of floating numbers .* found \(12,\) of int64"):
        scan_features.load(path, "row")


def test_parquet_with_columns_or_lists(tmp_path):
    path = tmp_path / "mine.parquet"
    frame = pd.DataFrame(H_ND.numpy(), columns=[f"f{j}" for j in range(16)])
    frame.assign(key=[f"{i}.jpg" for i in range(12)], label=range(12)).to_parquet(path)
    assert np.allclose(scan_features.load(path).h_ND, H_ND)
    pd.DataFrame({"key": list("abcdefghijkl"), "h": list(H_ND.numpy())}).to_parquet(path)
    assert np.allclose(scan_features.load(path).h_ND, H_ND)
    pd.DataFrame({"a": list(H_ND.numpy()), "b": list(2 * H_ND.numpy())}).to_parquet(path)
    assert np.allclose(scan_features.load(path, "b").h_ND, 2 * H_ND)
    with pytest.raises(ValueError, match="expected one matrix"):
        scan_features.load(path)
    pd.DataFrame({"h": [np.ones(2), np.ones(3)]}).to_parquet(path)
    with pytest.raises(ValueError, match="expected lists of one length in h, found others"):
        scan_features.load(path)
    pd.DataFrame({"key": ["a"]}).to_parquet(path)
    with pytest.raises(ValueError, match=r"expected a matrix of floating numbers .* found none"):
        scan_features.load(path)


def test_parquet_with_a_gap_is_not_filled(tmp_path):
    pd.DataFrame({"a": [1.0, None], "b": [2.0, 3.0]}).to_parquet(tmp_path / "mine.parquet")
    assert scan_features.load(tmp_path / "mine.parquet").h_ND.isnan().sum() == 1


def test_store_its_folders_and_its_shards(store):
    encoder, drawn = wrap("own/colours", Colours(), square(8)), images()
    expected = store.read(encoder, drawn, "joint")
    given = scan_features.load(store.path, "joint")
    assert given.h_ND.equal(expected) and given.point == "joint" and given.name == "own/colours on drawn"
    folder = store.part(encoder, drawn, "joint").folder
    assert scan_features.load(folder).h_ND.equal(expected)
    shard = scan_features.load(folder / "shard-00001.safetensors")
    assert shard.h_ND.equal(expected[4:8])
    with pytest.raises(
        ValueError, match="expected one feature matrix, or its folder, found own_colours/drawn/joint-"
    ):
        scan_features.load(store.path)
    with pytest.raises(
        FileNotFoundError, match=r"expected finished features of a store in .* at 'jiont', found none"
    ):
        scan_features.load(store.path, "jiont")


def test_altered_and_unfinished_features_of_a_store_are_refused(store):
    folder = store.part(wrap("own/colours", Colours(), square(8)), images(), "pre").folder
    shard = folder / "shard-00000.safetensors"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(ValueError, match="expected sha256"):
        scan_features.load(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(FileNotFoundError, match="expected finished features"):
        scan_features.load(store.path, "pre")


def write(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.csv",
            b"1,2",
            r"expected .npy, .safetensors, .parquet or the folder .* found a file of kind '.csv'",
        ),
        ("features", b"12", "found a file of kind 'unknown'"),
        ("a.npy", b"", "expected an array of numbers, found"),
        ("a.npy", b"\x80\x04K\x01.", "expected an array of numbers, found"),
        ("a.safetensors", b"12345678901234", "expected tensors, found a damaged file"),
        ("a.parquet", b"1234", "expected a parquet file, found"),
    ],
)
def test_other_and_damaged_files_are_one_line(tmp_path, name, content, message):
    with pytest.raises(ValueError, match=message) as error:
        scan_features.load(write(tmp_path / name, content))
    assert "\n" not in str(error.value)


def test_nothing_is_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([json, {}], dtype=object)[1:], allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        scan_features.load(tmp_path / "a.npy")


@pytest.mark.parametrize("shape", [(12,), (2, 6, 2)])
def test_only_a_matrix_of_floats_is_one(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.zeros(shape))
    with pytest.raises(ValueError, match="expected a matrix of floating numbers"):
        scan_features.load(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.zeros((3, 4), np.int32))
    with pytest.raises(ValueError, match=r"found \(3, 4\) of int32"):
        scan_features.load(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.full((3, 4), "x"))
    with pytest.raises(ValueError, match="expected numbers, found <U1"):
        scan_features.load(tmp_path / "a.npy")


@pytest.mark.parametrize("name", ["none.npy", "none.parquet", "none.safetensors"])
def test_no_file(tmp_path, name):
    with pytest.raises(FileNotFoundError, match="found nothing at"):
        scan_features.load(tmp_path / name)


def test_heads(tmp_path):
    own = made.head(4, 16)
    np.save(tmp_path / "w.npy", own.w_CD.numpy())
    found = scan_features.head(tmp_path / "w.npy", "joint")
    assert found.w_CD.equal(own.w_CD) and found.b_C is None and found.point == "joint"
    path = tmp_path / "head.safetensors"
    save_file({"fc.weight": own.w_CD, "fc.bias": own.b_C, "steps": torch.tensor([7])}, path)
    found = scan_features.head(path)
    assert found.w_CD.equal(own.w_CD) and found.b_C.equal(own.b_C)
    save_file({"fc.weight": own.w_CD, "fc.bias": own.b_C[:3]}, path)
    with pytest.raises(ValueError, match="expected at most one bias, of 4 classes, found lengths 3"):
        scan_features.head(path)
    save_file({"a": own.w_CD, "b": own.w_CD.clone()}, path)
    with pytest.raises(ValueError, match="expected one matrix"):
        scan_features.head(path)
    with pytest.raises(FileNotFoundError, match="found nothing at"):
        scan_features.head(tmp_path / "none.npy")
