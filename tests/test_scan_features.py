"""Feature files of every kind: the same matrix comes out, and what cannot be one is said in one line."""

import json

import made_features as made
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
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
# As a classifier's: one matrix, and its bias has as many entries as it has rows.
WEIGHTS = {"conv.weight": torch.ones(16, 3, 3, 3), "fc.weight": H_ND, "fc.bias": torch.zeros(12)}


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


def test_weights_of_a_network_are_no_features(tmp_path):
    path = tmp_path / "own.safetensors"
    save_file(WEIGHTS, path)
    with pytest.raises(ValueError, match=r"one entry an image, found conv.weight: .* timm/MODEL/FILE, with"):
        scan_features.load(path)
    save_file({f"blocks.{n}.weight": n + H_ND for n in range(9)}, path)
    with pytest.raises(ValueError, match=r"found blocks.0.weight, .*blocks.3.weight and 5 more$"):
        scan_features.load(path)


def test_safetensors_with_one_matrix_or_the_one_named(tmp_path):
    path = tmp_path / "mine.safetensors"
    save_file({"features": H_ND, "labels": torch.arange(12)}, path)
    assert scan_features.load(path).h_ND.equal(H_ND)
    save_file({"pre": H_ND, "joint": 2 * H_ND, "row": torch.arange(12)}, path)
    given = scan_features.load(path, "joint")
    assert given.h_ND.equal(2 * H_ND) and given.point == "joint"
    with pytest.raises(ValueError, match=r"expected one matrix, or the name of one, found joint, pre$"):
        scan_features.load(path)
    with pytest.raises(ValueError, match="expected a matrix named 'jiont', found joint, pre, row"):
        scan_features.load(path, "jiont")
    with pytest.raises(ValueError, match=r"expected a matrix of floating numbers .* found \(12,\) of int64"):
        scan_features.load(path, "row")


F16 = pd.DataFrame(H_ND.numpy(), columns=[f"f{j}" for j in range(16)])


@pytest.fixture
def table(tmp_path):
    """Writes a table and loads it."""

    def load(frame, point=None):
        frame.to_parquet(tmp_path / "mine.parquet")
        return scan_features.load(tmp_path / "mine.parquet", point).h_ND

    return load


def refused(table, frame, message, point=None):
    with pytest.raises(ValueError, match=message) as error:
        table(frame, point)
    assert "\n" not in str(error.value)


def test_parquet_with_columns(table):
    assert np.allclose(table(F16), H_ND)
    assert np.allclose(table(F16.set_axis([f"{i}.jpg" for i in range(12)]).rename_axis("f_key")), H_ND)
    assert np.allclose(table(F16.set_axis(list("abcdefghijklmnop"), axis=1)), H_ND)
    assert np.allclose(table(F16.set_axis([str(j) for j in range(16)], axis=1)), H_ND)


def test_parquet_with_lists(table):
    row = list(H_ND.numpy())
    assert np.allclose(table(pd.DataFrame({"key": list("abcdefghijkl"), "h": row})), H_ND)
    both = pd.DataFrame({"a": row, "b": list(2 * H_ND.numpy())})
    assert np.allclose(table(both, "b"), 2 * H_ND)
    refused(table, both, r"expected one matrix, or the name of one, found a, b$")
    refused(table, both, r"expected 'c' among its columns of lists, found a, b$", "c")
    assert np.allclose(table(both.rename(columns={"b": "h_ND"})), 2 * H_ND)
    beside = {"tokens": [["a", "b"]] * 11 + [["a"]], "ids": [[1], [1, 2]] * 6, "score": 12 * [0.5], "h": row}
    assert np.allclose(table(pd.DataFrame(beside)), H_ND)
    with_nan = [np.where(np.arange(16) == 3, np.nan, h_D) for h_D in row]
    assert table(pd.DataFrame({"h": with_nan})).isnan().sum() == 12


def test_parquet_with_lists_that_make_no_matrix(table):
    row = list(H_ND.numpy())
    ragged = pd.DataFrame({"h": [np.ones(2), np.ones(3)]})
    refused(table, ragged, r"expected lists of one length in h, found lengths 2 to 3$")
    refused(table, pd.DataFrame({"h": row}).iloc[:0], "found no rows|found none|found h")
    for missing in (0, 7):
        cells = pd.Series(row).where(np.arange(12) != missing, None)
        frame = pd.DataFrame({"features": cells, "score": 12 * [0.5], "conf": 12 * [0.1]})
        refused(table, frame, r"expected a list in every row of features, found 1 without$")


def test_parquet_of_several_row_groups_and_kinds_of_lists(tmp_path):
    path = tmp_path / "mine.parquet"
    for kind in (pa.list_(pa.float32()), pa.large_list(pa.float16()), pa.list_(pa.float64(), 16)):
        written = pa.table({"h": pa.array(H_ND.half().double().tolist(), kind), "h.more": pa.array([0] * 12)})
        pq.write_table(written, path, row_group_size=5)
        assert scan_features.load(path).h_ND.double().equal(H_ND.half().double())


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"label_score": 0.5}, r"label_score \(double\)"),
        ({"f3": 1}, r"f3 \(int64\)"),
        ({"key": "a", "label": 1}, r"key \(\w*string\), label \(int64\)"),
        ({"tokens": [[0, 1]] * 12}, r"tokens \(list<.*>\)"),
        ({f"g{j}": 0.5 for j in range(6)}, r"g0 .*, g1 .*, g2 .*, g3 \(double\) and 2 more"),
    ],
)
def test_parquet_with_columns_that_are_no_features_has_to_be_told(table, more, found):
    frame = F16.assign(**more)
    expected = "expected nothing but features, or --point with how their names begin"
    refused(table, frame, rf"{expected}, such as 'f', found {found}$")
    assert np.allclose(table(frame, "f"), frame[F16.columns])
    other = F16.set_axis([f"f{'abcdefghijklmnop'[j]}" for j in range(16)], axis=1).assign(key="a")
    refused(table, other, rf"{expected}, found key")
    assert np.allclose(table(other, "f"), H_ND)


def test_parquet_with_the_beginning_of_names(table):
    numbered = F16.set_axis([str(j) for j in range(16)], axis=1).assign(label=1)
    refused(table, numbered, r"such as '', found label \(int64\)$")
    assert np.allclose(table(numbered, ""), H_ND)
    assert np.allclose(table(F16.assign(fps=30.0), "f"), H_ND), (
        "fps begins so, but the numbered ones are meant"
    )
    refused(table, F16, r"expected columns of numbers .* begin with 'x', found f0 .* and 12 more$", "x")
    refused(table, F16.assign(key="a"), r"begin with 'k', found key \(\w*string\)$", "k")
    refused(table, pd.DataFrame({"key": ["a"]}), r"found key \(\w*string\)$")


def test_parquet_with_two_columns_of_one_name(tmp_path):
    pq.write_table(pa.table([[0.5], [1.5]], names=["a", "a"]), tmp_path / "mine.parquet")
    with pytest.raises(ValueError, match=r"expected a parquet file, found: .*exists 2 times"):
        scan_features.load(tmp_path / "mine.parquet")


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
        ("a.npy", b"hello", "expected an array of numbers, found: something else, or objects$"),
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
    with pytest.raises(ValueError, match="found: something else, or objects"):
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
    with pytest.raises(FileNotFoundError, match="expected a file, found nothing at"):
        scan_features.head(tmp_path / "none.npy")
    with pytest.raises(FileNotFoundError, match="expected a file, found a folder at"):
        scan_features.head(tmp_path)
    F16.to_parquet(tmp_path / "head.parquet")
    with pytest.raises(ValueError, match=r"expected .npy or .safetensors, found a file of kind '.parquet'$"):
        scan_features.head(tmp_path / "head.parquet")


@pytest.mark.parametrize("name", ["bias", "fc.bias", "head_bias", "b", "fc.b", "b_C"])
def test_a_bias_is_known_by_its_name(tmp_path, name):
    own, path = made.head(4, 16), tmp_path / "head.safetensors"
    save_file({"w": own.w_CD, name: own.b_C}, path)
    assert scan_features.head(path).b_C.equal(own.b_C)
    save_file({"w": own.w_CD, name: own.b_C.where(own.b_C != own.b_C[1], torch.nan)}, path)
    with pytest.raises(ValueError, match="expected a bias of finite numbers, found NaN or inf"):
        scan_features.head(path)


@pytest.mark.parametrize("name", ["running_mean", "prob", "bn.weight", "bias.grad"])
def test_no_other_vector_is_added_as_a_bias(tmp_path, name):
    own, path = made.head(4, 16), tmp_path / "head.safetensors"
    save_file({"w": own.w_CD, name: own.b_C}, path)
    with pytest.raises(ValueError, match=f"expected a matrix and its bias only, found also {name}$"):
        scan_features.head(path)


def test_suffixes_in_capitals(tmp_path):
    np.save(tmp_path / "a.npy", H_ND.numpy())
    save_file({"h": H_ND}, tmp_path / "a.safetensors")
    F16.to_parquet(tmp_path / "a.parquet")
    for kind in scan_features.KINDS:
        upper = (tmp_path / f"a{kind}").rename(tmp_path / f"UP{kind.upper()}")
        assert np.allclose(scan_features.load(upper).h_ND, H_ND)


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_floats_of_8_bits_are_refused(tmp_path, kind):
    save_file({"h": H_ND.to(kind)}, tmp_path / "a.safetensors")
    for read in (scan_features.load, scan_features.head):
        with pytest.raises(ValueError, match=r"of 16 bits or more .*, found \(12, 16\) of float8_e\w+$"):
            read(tmp_path / "a.safetensors")


@pytest.mark.parametrize("kind", scan_features.KINDS)
def test_a_file_that_may_not_be_read_is_no_missing_one(tmp_path, monkeypatch, kind):
    path = write(tmp_path / f"a{kind}", b"1")

    def refuse(self, *_):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(PermissionError, match="Permission denied: .*a" + kind):
        scan_features.load(path)
