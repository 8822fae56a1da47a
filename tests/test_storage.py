import hashlib
import sys

import pytest
import torch
from safetensors.torch import save

from featurelens import storage

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2])}
DATA = save(TENSORS, {"key": "value — ☃"})


@pytest.fixture(params=["folder", "address"])
def root(request, tmp_path):
    if request.param == "folder":
        return storage.at(tmp_path)
    pytest.importorskip("upath", reason="needs the extra 'cluster'")
    return storage.at(f"memory://{tmp_path.name}")


def test_a_file_is_published_once_and_read_back(root):
    path = root / "deep" / "er" / "x.safetensors"
    storage.publish(path, DATA)
    storage.publish(path, b"other")
    assert path.read_bytes() == DATA and [p.name for p in path.parent.iterdir()] == ["x.safetensors"]
    assert storage.metadata(path) == {"key": "value — ☃"}
    assert storage.sha256(path) == hashlib.sha256(DATA).hexdigest()
    for expected in (None, storage.sha256(path)):
        found = storage.tensors(path, expected)
        assert found.keys() == TENSORS.keys() and all(torch.equal(found[k], TENSORS[k]) for k in found)
    with pytest.raises(ValueError, match=r"x.safetensors: expected sha256 0000…, found \w{12}…$"):
        storage.tensors(path, "0000")


def test_without_metadata_and_without_tensors(root):
    for name, data in {"a": save(TENSORS), "b": save({})}.items():
        storage.publish(root / name, data)
        assert storage.metadata(root / name) == {}
    assert storage.tensors(root / "b") == {}


HEADS = [
    b"",
    b"{}",
    b"[1]",
    b'{"a": 1}',
    b'{"a": {"data_offsets": 1}}',
    b'{"a": {"data_offsets": ["x", "y"]}}',
]
NOISE = [b"", b"123", b"\xff" * 40, (10**6).to_bytes(8, "little") + b"{}", DATA[:-1], DATA + b"0", DATA[:50]]


@pytest.mark.parametrize("data", [*NOISE, *(len(h).to_bytes(8, "little") + h + b"rest" for h in HEADS)])
def test_damaged_files_are_one_line(root, data):
    storage.publish(root / "x", data)
    for read in (storage.tensors, storage.metadata):
        with pytest.raises(ValueError, match=r"x: expected tensors, found a damaged file \(") as caught:
            read(root / "x")
        assert "\n" not in str(caught.value)


def test_at_an_address_metadata_comes_without_the_tensors(tmp_path, monkeypatch):
    pytest.importorskip("upath", reason="needs the extra 'cluster'")
    path = storage.at(f"memory://{tmp_path.name}/x")
    storage.publish(path, DATA)
    read = []
    cat_file = type(path.fs).cat_file

    def counted(self, *arguments, **options):
        read.append(len(data := cat_file(self, *arguments, **options)))
        return data

    monkeypatch.setattr(type(path.fs), "cat_file", counted)
    assert storage.metadata(path) == {"key": "value — ☃"} and sum(read) < len(DATA) - 24


def test_folders_and_addresses_of_folders(tmp_path):
    pytest.importorskip("upath", reason="needs the extra 'cluster'")
    for place in (str(tmp_path), tmp_path, f"file://{tmp_path}", f"local://{tmp_path}"):
        assert storage.at(place) == tmp_path


def test_addresses_that_cannot_be_used_are_one_line(monkeypatch):
    pytest.importorskip("upath", reason="needs the extra 'cluster'")
    with pytest.raises(ValueError, match="nonsense"):
        storage.at("nonsense://bucket/x")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(ModuleNotFoundError, match=r"^s3://bucket/x: .*s3fs"):
        storage.at("s3://bucket/x")
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(ModuleNotFoundError, match=r"^memory://x: install featurelens\[cluster\]"):
        storage.at("memory://x")


def test_file_systems_without_links_rename(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError

    monkeypatch.setattr(storage.os, "link", refused)
    storage.publish(tmp_path / "x", b"data")
    assert (tmp_path / "x").read_bytes() == b"data" and len(list(tmp_path.iterdir())) == 1


def test_a_writer_that_dies_leaves_no_file(tmp_path, monkeypatch):
    def die(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(storage.os, "fsync", die)
    with pytest.raises(KeyboardInterrupt):
        storage.publish(tmp_path / "x", b"data")
    assert not (tmp_path / "x").exists()


def test_sha256_of_a_large_file_is_that_of_its_bytes(tmp_path):
    data = b"0123456789" * 300_000
    (tmp_path / "x").write_bytes(data)
    assert storage.sha256(tmp_path / "x") == hashlib.sha256(data).hexdigest()
