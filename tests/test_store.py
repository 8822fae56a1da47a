import hashlib
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from featurelens import checks, store
from featurelens.encoder import wrap
from featurelens.imagesets import ImageSet
from featurelens.preprocess import square
from featurelens.shards import MissingFeatures

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


def fill(opened, shards=(0, 1, 2), encoder=ENCODER, pictures=IMAGES):
    for k in shards:
        rows = [i for i in range(N)[k * R : (k + 1) * R] if i != 5]
        failures = [FAILED] if k == 1 else []
        opened.write(encoder, pictures, k, {p: h[rows] for p, h in H.items()}, torch.tensor(rows), failures)


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


def test_one_shard_is_read_memory_mapped_and_never_written_back(tmp_path):
    if sys.platform != "linux":
        pytest.skip("memory maps are listed in /proc on Linux only")
    opened = store.FeatureStore(tmp_path)
    opened.write(ENCODER, IMAGES, 0, H, torch.arange(N), [])
    opened.finish(ENCODER, IMAGES)
    h = opened.read(ENCODER, IMAGES)
    with open("/proc/self/maps") as maps:
        spans = [line.split() for line in maps if line.rstrip().endswith("shard-00000.safetensors")]
    assert any(int(s[0].split("-")[0], 16) <= h.data_ptr() < int(s[0].split("-")[1], 16) for s in spans)
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
    with pytest.raises(ValueError, match="expected a shard, found a damaged file"):
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
