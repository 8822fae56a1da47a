import hashlib
import json
import os
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save

from featurelens import checks, storage, store
from featurelens.encoder import wrap
from featurelens.imagesets import ImageSet
from featurelens.preprocess import square
from featurelens.shards import MissingFeatures, slug

N, R = 10, 4


class Tower(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(5, 3))

    def forward(self, x):
        h = x.mean((2, 3)) @ self.w.T
        return {"pre": h, "joint": h[:, :2]}


def images(name="set", sha256="00"):
    keys = [f"{i}.png" for i in range(N)]
    identity = {"images": name, "count": str(N), "sha256": sha256}
    return ImageSet(name, keys, [], None, identity, lambda i: Image.new("RGB", (8, 8)))


ENCODER, IMAGES = wrap("a/tower", Tower(), square(8)), images()
H = {"pre": torch.randn(N, 5, generator=torch.Generator().manual_seed(0)), "joint": torch.ones(N, 2)}
FAILED = {"row": 5, "key": "5.png", "reason": "no picture — ☃"}


def fill(opened, shards=(0, 1, 2), encoder=ENCODER, pictures=IMAGES, h=H):
    for k in shards:
        rows = [i for i in range(N)[k * R : (k + 1) * R] if i != 5]
        failures = [FAILED] if k == 1 else []
        opened.write(
            encoder, pictures, k, {p: h_ND[rows] for p, h_ND in h.items()}, torch.tensor(rows), failures
        )


@pytest.fixture
def filled(tmp_path):
    opened = store.FeatureStore(tmp_path, shard_rows=R)
    fill(opened)
    opened.finish(ENCODER, IMAGES)
    return opened


def digest(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_round_trip_with_rows_and_failures(filled):
    kept = [i for i in range(N) if i != 5]
    for point in ("pre", "joint"):
        assert filled.has(ENCODER, IMAGES, point)
        assert torch.equal(filled.read(ENCODER, IMAGES, point), H[point][kept])
        assert filled.rows(ENCODER, IMAGES, point).tolist() == kept
        assert filled.failures(ENCODER, IMAGES, point) == [FAILED]


def test_files_are_as_the_layout_says(filled):
    folder = filled.part(ENCODER, IMAGES, "joint").folder
    identity = store.identity(ENCODER, IMAGES, "joint")
    sha256 = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    assert folder.relative_to(filled.path).as_posix() == f"a_tower/set/joint-{sha256[:12]}"
    names = ["manifest.json", *(f"shard-0000{k}.safetensors" for k in range(3))]
    assert sorted(p.name for p in folder.iterdir()) == names
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["identity"] == identity and manifest["images"] == N and manifest["shard_rows"] == R
    assert [s["rows"] for s in manifest["shards"]] == [4, 3, 2] and manifest["failures"] == [FAILED]
    with safe_open(folder / "shard-00001.safetensors", "pt") as file:
        assert json.loads(file.metadata()["featurelens"])["failures"] == [FAILED]
        assert file.get_tensor("row_N").tolist() == [4, 6, 7]
    assert str(filled.path) not in (folder / "manifest.json").read_text()


def mapped(h_ND, name):
    """Whether the tensor's memory is that of a file."""
    with open("/proc/self/maps") as maps:
        spans = [line.split()[0].split("-") for line in maps if line.rstrip().endswith(name)]
    return any(int(start, 16) <= h_ND.data_ptr() < int(end, 16) for start, end in spans)


def test_one_shard_is_read_memory_mapped_and_never_written_back(tmp_path):
    if sys.platform != "linux":
        pytest.skip("memory maps are listed in /proc on Linux only")
    opened = store.FeatureStore(tmp_path)
    opened.write(ENCODER, IMAGES, 0, H, torch.arange(N), [])
    opened.finish(ENCODER, IMAGES)
    h = opened.read(ENCODER, IMAGES)
    assert mapped(h, "shard-00000.safetensors")
    h.zero_()
    assert torch.equal(opened.read(ENCODER, IMAGES), H["pre"])


def test_unfinished_features_are_missing_and_resume_to_the_same_bytes(tmp_path, filled):
    opened = store.FeatureStore(tmp_path / "again", shard_rows=R)
    fill(opened, shards=[1])
    assert opened.missing(ENCODER, IMAGES) == [0, 2] and not opened.has(ENCODER, IMAGES)
    with pytest.raises(MissingFeatures, match=r"a/tower on set at 'pre' .*: unfinished, run extract"):
        opened.read(ENCODER, IMAGES)
    with pytest.raises(MissingFeatures, match=r"shards \[0, 2\] are not there yet"):
        opened.finish(ENCODER, IMAGES)
    (opened.part(ENCODER, IMAGES).folder / "shard-00000.safetensors.killed.partial").write_bytes(b"half")
    fill(opened, shards=[0, 2])
    opened.finish(ENCODER, IMAGES)
    once, again = digest(filled.path / "a_tower"), digest(opened.path / "a_tower")
    assert {k: v for k, v in again.items() if not k.endswith(".partial")} == once


def test_a_point_that_was_lost_is_missing(filled):
    folder = filled.part(ENCODER, IMAGES, "joint").folder
    for path in (folder / "manifest.json", folder / "shard-00002.safetensors"):
        path.unlink()
    assert filled.missing(ENCODER, IMAGES) == [2] and filled.has(ENCODER, IMAGES, "pre")


def test_many_writers_at_once_leave_what_one_leaves(tmp_path, filled):
    stores = [store.FeatureStore(tmp_path / "many", shard_rows=R) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(fill, stores))
        list(pool.map(lambda s: s.finish(ENCODER, IMAGES), stores))
    assert digest(tmp_path / "many" / "a_tower") == digest(filled.path / "a_tower")


@pytest.mark.parametrize(
    ("field", "value"),
    [("weights", "ff"), ("preprocess", "other"), ("versions", "torch 1.0"), ("sha256", "01")],
)
def test_features_of_another_identity_are_not_given(filled, field, value):
    encoder, pictures = ENCODER, IMAGES
    if field == "sha256":
        pictures = images(sha256=value)
    else:
        encoder = replace(ENCODER, identity={**ENCODER.identity, field: value})
    assert not filled.has(encoder, pictures) and filled.missing(encoder, pictures) == [0, 1, 2]
    with pytest.raises(MissingFeatures, match=f"those there differ in {field}$"):
        filled.read(encoder, pictures)


def test_shards_of_another_identity_in_the_place_are_refused(filled):
    other = replace(ENCODER, identity={**ENCODER.identity, "weights": "ff"})
    here, there = (filled.part(e, IMAGES).folder for e in (ENCODER, other))
    here.rename(there)
    with pytest.raises(ValueError, match="expected features of this identity, found those of another"):
        filled.read(other, IMAGES)
    (there / "manifest.json").unlink()
    with pytest.raises(ValueError, match="expected features of this identity, found those of another"):
        filled.missing(other, IMAGES)


def test_an_altered_byte_or_a_lost_shard_is_noticed(filled):
    path = filled.part(ENCODER, IMAGES).folder / "shard-00002.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"shard-00002.safetensors: expected sha256 \w+…, found \w+…"):
        filled.read(ENCODER, IMAGES)
    path.unlink()
    with pytest.raises(ValueError, match="found no file"):
        filled.rows(ENCODER, IMAGES)


def test_a_truncated_shard_is_noticed_before_work_goes_on(tmp_path):
    opened = store.FeatureStore(tmp_path, shard_rows=R)
    fill(opened, shards=[0])
    path = opened.part(ENCODER, IMAGES).folder / "shard-00000.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(
        ValueError, match=r"found a damaged file .* \(featurelens store gc --damaged removes it\)$"
    ):
        opened.missing(ENCODER, IMAGES)


def test_shards_of_another_size_are_refused(tmp_path):
    fill(store.FeatureStore(tmp_path, shard_rows=R), shards=[0])
    with pytest.raises(ValueError, match="expected 5 rows a shard, found 4"):
        store.FeatureStore(tmp_path, shard_rows=5).missing(ENCODER, IMAGES)


@pytest.mark.parametrize(
    ("rows", "failures"),
    [([0, 1, 2], []), ([0, 1, 2, 3, 3], []), ([0, 1, 2, 3], [FAILED]), ([4, 5, 6, 7], [])],
)
def test_no_picture_is_lost_or_counted_twice(tmp_path, rows, failures):
    h = {point: h_ND[: len(rows)] for point, h_ND in H.items()}
    with pytest.raises(ValueError, match=re.escape("shard 0: expected rows 0..3 once, found others")):
        store.FeatureStore(tmp_path, shard_rows=R).write(ENCODER, IMAGES, 0, h, torch.tensor(rows), failures)


def test_features_of_another_shape_are_refused(tmp_path):
    h = {"pre": H["pre"][:4], "joint": H["pre"][:4]}
    with pytest.raises(ValueError, match=r"a/tower, joint: expected features 4 x 2, found \(4, 5\)"):
        store.FeatureStore(tmp_path, shard_rows=R).write(ENCODER, IMAGES, 0, h, torch.arange(4), [])


def test_unknown_point_and_nothing_extracted(tmp_path):
    opened = store.FeatureStore(tmp_path)
    with pytest.raises(checks.UnknownNameError, match=r"unknown feature point .* 'jont': did you mean"):
        opened.read(ENCODER, IMAGES, "jont")
    with pytest.raises(MissingFeatures, match="not extracted, run extract"):
        opened.read(ENCODER, IMAGES)


@pytest.fixture(params=["folder", "address"])
def root(request, tmp_path):
    if request.param == "folder":
        return tmp_path
    pytest.importorskip("upath", reason="needs the extra 'cluster'")
    return f"memory://{tmp_path.name}"


def extracted(root, encoder=ENCODER, h=H, **options):
    opened = store.FeatureStore(root, shard_rows=R, **options)
    fill(opened, encoder=encoder, h=h)
    opened.finish(encoder, IMAGES)
    return opened


KEPT = [i for i in range(N) if i != 5]


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
def test_each_precision_in_a_folder_and_at_an_address(root, precision):
    extracted(root, precision=precision)
    opened = store.FeatureStore(root, shard_rows=R, precision=precision)
    expected_ND = H["pre"][KEPT].to(getattr(torch, precision)).float()
    found_ND = opened.read(ENCODER, IMAGES)
    assert found_ND.dtype == torch.float32 and torch.equal(found_ND, expected_ND)
    shards = list(opened.stream(ENCODER, IMAGES))
    assert [row_N.tolist() for row_N, _ in shards] == [[0, 1, 2, 3], [4, 6, 7], [8, 9]]
    assert torch.equal(torch.cat([h_ND for _, h_ND in shards]), expected_ND)
    assert {h_ND.dtype for _, h_ND in shards} == {torch.float32}
    assert opened.rows(ENCODER, IMAGES).tolist() == KEPT and opened.failures(ENCODER, IMAGES) == [FAILED]
    folder = opened.part(ENCODER, IMAGES).folder
    header = storage.tensors(folder / "shard-00001.safetensors")
    assert str(header["h_ND"].dtype) == f"torch.{precision}"
    assert not list(folder.glob("*.partial"))


def test_an_address_holds_the_bytes_of_a_folder(tmp_path, filled):
    pytest.importorskip("upath", reason="needs the extra 'cluster'")
    there = extracted(f"memory://{tmp_path.name}").part(ENCODER, IMAGES).folder
    here = filled.part(ENCODER, IMAGES).folder
    assert {p.name: p.read_bytes() for p in there.iterdir()} == {
        p.name: p.read_bytes() for p in here.iterdir()
    }


def test_precisions_lie_side_by_side(root):
    opened = {p: extracted(root, precision=p) for p in ("float32", "float16")}
    with pytest.raises(MissingFeatures, match=r"those there differ in precision$"):
        store.FeatureStore(root, shard_rows=R, precision="bfloat16").read(ENCODER, IMAGES)
    assert not torch.equal(*(s.read(ENCODER, IMAGES) for s in opened.values()))
    assert store.identity(ENCODER, IMAGES, "pre") == store.identity(ENCODER, IMAGES, "pre", "float32")
    with pytest.raises(checks.UnknownNameError, match="unknown storage precision 'half': known: float32"):
        store.FeatureStore(root, precision="half")


@pytest.mark.parametrize(
    ("precision", "value", "message"),
    [
        ("float16", 65520.0, "±65504, the range of float16, found 65520 for 2.png"),
        ("float16", -1e5, "found -100000 for 2.png"),
        ("bfloat16", 3.4e38, r"±3.38953e\+38, the range of bfloat16, found 3.4e\+38 for 2.png"),
        ("float32", float("nan"), "the range of float32, found nan for 2.png"),
    ],
)
def test_values_out_of_range_are_refused_and_nothing_is_written(root, precision, value, message):
    h = {"pre": H["pre"].clone(), "joint": H["joint"].clone()}
    h["joint"][2, 1] = value
    opened = store.FeatureStore(root, shard_rows=R, precision=precision)
    with pytest.raises(ValueError, match=f"a/tower, joint: expected numbers within .*{message}$"):
        fill(opened, h=h)
    assert not any(opened.path.glob("*/*/*/*"))


def test_the_largest_float16_is_stored(root):
    h = {"pre": H["pre"].clone(), "joint": H["joint"]}
    h["pre"][0, 0] = 65519.0
    assert extracted(root, h=h, precision="float16").read(ENCODER, IMAGES)[0, 0] == 65504


def test_points_are_named_after_layers_and_the_identity_keeps_the_name(root):
    names = {"layer4[0]": 3, "layer4(0)": 3, "transformer.resblocks.5": 3, "../up": 3}
    encoder = replace(ENCODER, dims=names)
    h = {name: torch.full((N, 3), float(i)) for i, name in enumerate(names)}
    opened = extracted(root, encoder=encoder, h=h)
    for i, name in enumerate(names):
        folder = opened.part(encoder, IMAGES, name).folder
        assert folder.parent.name == "set" and folder.name.rpartition("-")[0] == slug(name)
        assert opened.read(encoder, IMAGES, name).unique().tolist() == [i]
        assert opened.part(encoder, IMAGES, name).manifest()["identity"]["point"] == name
    assert slug("layer4[0]") == slug("layer4(0)") == "layer4_0_" and slug("..") == slug("") == "_"


def test_what_is_there_instead_is_of_the_same_point_and_the_nearest(root):
    encoder = replace(ENCODER, dims={"a[0]": 5, "a(0)": 2, "a": 2})
    one = replace(encoder, identity={**ENCODER.identity, "weights": "ff"})
    two = replace(encoder, identity={**ENCODER.identity, "architecture": "ff", "versions": "torch 1.0"})
    h = {"a[0]": H["pre"], "a(0)": H["joint"], "a": H["joint"]}
    opened = store.FeatureStore(root, shard_rows=R)
    only = replace(encoder, dims={"a(0)": 2})
    fill(opened, encoder=only, h=h)
    opened.finish(only, IMAGES)
    with pytest.raises(MissingFeatures, match="not extracted, run extract"):
        opened.read(encoder, IMAGES, "a[0]")
    for other in (one, two):
        extracted(root, encoder=other, h=h)
    with pytest.raises(MissingFeatures, match=r"those there differ in weights$"):
        opened.read(encoder, IMAGES, "a[0]")


BROKEN = [b"", b"{", b"[]", b'"text"', b"\xff\xfe", b'{"identity": {}}']
WHOLE = b'{"images": 1, "shard_rows": 1, "failures": [], "identity": {}, "shards": [1]}'
TYPES = b'{"images": "1", "shard_rows": 0, "failures": 3, "identity": {}, "shards": []}'


@pytest.mark.parametrize("data", [*BROKEN, WHOLE, TYPES])
def test_a_manifest_that_is_none_is_one_line(root, data):
    folder = extracted(root).part(ENCODER, IMAGES).folder
    (folder / "manifest.json").write_bytes(data)
    opened = store.FeatureStore(root, shard_rows=R)
    with pytest.raises(ValueError, match=r"manifest.json: expected .*, found a damaged file.*") as caught:
        opened.read(ENCODER, IMAGES)
    assert "\n" not in str(caught.value) and "gc --damaged" in str(caught.value)
    with pytest.raises(MissingFeatures, match="run extract"):  # a damaged neighbour is no obstacle
        opened.read(replace(ENCODER, identity={**ENCODER.identity, "weights": "ff"}), IMAGES)


@pytest.mark.parametrize("damage", ["cut", "grown", "empty", "noise", "foreign", "unnamed"])
def test_a_damaged_shard_of_unfinished_features_is_one_line(root, damage):
    opened = store.FeatureStore(root, shard_rows=R)
    fill(opened, shards=[0])
    path = opened.part(ENCODER, IMAGES).folder / "shard-00000.safetensors"
    data = path.read_bytes()
    foreign = save({"a": torch.ones(2)}, {"featurelens": "[1]"})
    damaged = {"cut": data[:-7], "grown": data + b"0", "empty": b"", "noise": b"\xff" * 64}
    path.write_bytes({**damaged, "foreign": foreign, "unnamed": save({"a": torch.ones(2)})}[damage])
    with pytest.raises(ValueError, match=r"shard-00000.safetensors: expected .* found a damaged") as caught:
        opened.missing(ENCODER, IMAGES)
    assert "\n" not in str(caught.value)


def test_altered_and_lost_shards_are_noticed_at_an_address_and_while_streaming(root):
    extracted(root)
    opened = store.FeatureStore(root, shard_rows=R)
    path = opened.part(ENCODER, IMAGES).folder / "shard-00001.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    given = []
    with pytest.raises(ValueError, match=r"shard-00001.safetensors: expected sha256 \w+…, found \w+…"):
        for row_N, _ in opened.stream(ENCODER, IMAGES):
            given.append(row_N.tolist())
    assert given == [[0, 1, 2, 3]]
    with pytest.raises(ValueError, match="expected sha256"):
        opened.failures(ENCODER, IMAGES)
    path.unlink()
    with pytest.raises(ValueError, match="found no file"):
        opened.read(ENCODER, IMAGES)


def test_streamed_shards_are_memory_mapped_in_a_folder(tmp_path):
    if sys.platform != "linux":
        pytest.skip("memory maps are listed in /proc on Linux only")
    opened = extracted(tmp_path)
    for k, (_, h_ND) in enumerate(opened.stream(ENCODER, IMAGES)):
        assert mapped(h_ND, f"shard-{k:05d}.safetensors")


def test_the_first_writer_of_a_file_wins(tmp_path, monkeypatch):
    first = threading.Event()
    fsync = os.fsync

    def slow(handle):
        fsync(handle)
        if not first.is_set():  # another writer is through while this one has yet to publish
            first.set()
            storage.publish(tmp_path / "a", b"one")

    monkeypatch.setattr(os, "fsync", slow)
    storage.publish(tmp_path / "a", b"two")
    assert (tmp_path / "a").read_bytes() == b"one" and len(list(tmp_path.iterdir())) == 1
