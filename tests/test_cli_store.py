import os
import time
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save
from test_cli import run
from test_store import ENCODER, IMAGES, R, digest, fill

from featurelens import storage
from featurelens.store import FeatureStore

NEW = replace(ENCODER, identity={**ENCODER.identity, "weights": "ff"})
OTHER = replace(ENCODER, name="b", identity={**ENCODER.identity, "encoder": "b"})


@pytest.fixture(params=["folder", "address"])
def opened(request, tmp_path):
    """Features of one encoder, complete, and of another, unfinished, and a head."""
    if request.param == "address":
        pytest.importorskip("upath", reason="needs the extra 'cluster'")
    opened = FeatureStore(
        tmp_path if request.param == "folder" else f"memory://{tmp_path.name}", shard_rows=R
    )
    fill(opened)
    opened.finish(ENCODER, IMAGES)
    fill(opened, shards=[1], encoder=OTHER)
    storage.publish(opened.path / "heads" / "h.safetensors", save({"w_CD": torch.ones(2, 5)}, {"head": "{}"}))
    return opened


def everything(opened):
    return {str(p): p.read_bytes() for p in housekeeping_files(opened.path)}


def housekeeping_files(root):
    return [p for pattern in ("*/*/*/*", "heads/*") for p in root.glob(pattern)]


def shard(opened, k=2, encoder=ENCODER, point="pre"):
    return opened.part(encoder, IMAGES, point).folder / f"shard-0000{k}.safetensors"


def manifest(opened, encoder=ENCODER, point="pre"):
    return opened.part(encoder, IMAGES, point).folder / "manifest.json"


def alter(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def lines(out):
    return [" ".join(line.split()) for line in out.splitlines()]


def test_ls_shows_what_is_there(opened, capsys):
    code, out, err = run(capsys, "store", "ls", str(opened.path))
    assert (code, err) == (0, "")
    assert lines(out) == [
        "encoder images point precision rows left out MiB state",
        "a/tower set joint float32 9 1 0.0 complete",
        "a/tower set pre float32 9 1 0.0 complete",
        "b set joint float32 3 1 0.0 unfinished, 1 of 3",
        "b set pre float32 3 1 0.0 unfinished, 1 of 3",
        f"4 feature matrices, 0.0 MiB, and 1 heads at {opened.path}",
    ]


def test_ls_sums_sizes_and_knows_precisions(tmp_path, capsys):
    opened = FeatureStore(tmp_path, precision="float16")
    wide = replace(ENCODER, dims={"layer4[0]": 2**18})
    opened.write(wide, IMAGES, 0, {"layer4[0]": torch.zeros(10, 2**18)}, torch.arange(10), [])
    _, out, _ = run(capsys, "store", "ls", str(tmp_path))
    assert lines(out)[1] == "a/tower set layer4[0] float16 10 0 5.0 unfinished, 1 of 1"


def test_the_default_is_the_store_in_the_cache(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FEATURELENS_CACHE", str(tmp_path))
    code, _, err = run(capsys, "store", "ls")
    assert (
        code == 2 and err == f"featurelens: expected a feature store, found nothing at {tmp_path}/features\n"
    )
    fill(FeatureStore(tmp_path / "features", shard_rows=R))
    assert "unfinished, 3 of 3" in run(capsys, "store", "ls")[1]


def test_verify_names_each_bad_file_and_ends_with_1(opened, capsys):
    place = str(opened.path)
    assert run(capsys, "store", "verify", place) == (0, "4 feature matrices, 0.0 MiB: sound\n", "")
    alter(shard(opened))
    shard(opened, 0, point="joint").unlink()
    path = shard(opened, 1, encoder=OTHER)
    path.write_bytes(path.read_bytes()[:-7])
    (opened.path / "heads" / "h.safetensors").write_bytes(b"no head")
    storage.publish(opened.path / "heads" / "i.safetensors", save({"w_CD": torch.ones(1)}))
    code, out, _ = run(capsys, "store", "verify", place)
    bad = lines(out)
    assert code == 1 and bad[-1] == "4 feature matrices, 0.0 MiB: 5 bad files"
    assert bad[0] == f"{shard(opened, 0, point='joint')}: expected a shard, found no file"
    assert bad[1].startswith(f"{shard(opened)}: expected sha256")
    assert bad[2].startswith(f"{path}: expected tensors, found a damaged file")
    assert "h.safetensors: expected tensors" in bad[3] and "i.safetensors: expected a head" in bad[4]
    code, out, _ = run(capsys, "store", "verify", place, "--encoder", "b")
    assert code == 1 and lines(out) == [bad[2], "2 feature matrices, 0.0 MiB: 1 bad files"]
    code, _, err = run(capsys, "store", "verify", place, "--encoder", "a/towr")
    assert code == 2 and err == "featurelens: unknown encoder in the store 'a/towr': did you mean a/tower?\n"


@pytest.mark.parametrize(
    "change",
    [(b'"rows": 3', b'"rows": 2'), (b"no picture", b"no pixture"), (b'"images": 10', b'"images": 9')],
)
def test_verify_notices_a_manifest_that_says_something_else(opened, capsys, change):
    path = manifest(opened)
    path.write_bytes(path.read_bytes().replace(*change))
    code, out, _ = run(capsys, "store", "verify", str(opened.path))
    assert code == 1 and lines(out)[0].startswith(f"{path}: expected what the shards say")


def test_features_under_another_name_are_bad(tmp_path, capsys):
    opened = FeatureStore(tmp_path, shard_rows=R)
    fill(opened)
    folder = opened.part(ENCODER, IMAGES).folder
    folder.rename(folder.with_name("pre-000000000000"))
    code, out, _ = run(capsys, "store", "verify", str(tmp_path))
    assert code == 1 and "pre-000000000000/shard-00002.safetensors: expected features of this folder's" in out


def test_nothing_goes_without_yes(opened, capsys):
    alter(shard(opened))
    before = everything(opened)
    options = ("--unfinished", "--damaged", "--superseded")
    code, out, _ = run(capsys, "store", "gc", str(opened.path), *options)
    assert code == 0 and everything(opened) == before
    gone = [shard(opened, 1, OTHER, "joint"), shard(opened, 1, OTHER), shard(opened), manifest(opened)]
    sizes = sum(path.stat().st_size for path in gone)
    assert lines(out)[-1] == f"4 files, {sizes} bytes would be removed (--yes removes them)"
    assert f"damaged: {shard(opened)} ({shard(opened).stat().st_size} bytes)" in lines(out)
    assert lines(run(capsys, "store", "gc", str(opened.path), "--yes")[1]) == ["0 files, 0 bytes removed"]
    assert everything(opened) == before
    code, out, _ = run(capsys, "store", "gc", str(opened.path), *options, "--yes")
    assert code == 0 and lines(out)[-1] == f"4 files, {sizes} bytes removed"
    assert everything(opened) == {path: data for path, data in before.items() if path not in map(str, gone)}


def damaged_manifest(opened):
    manifest(opened).write_bytes(b"{")


def lost_shard(opened):
    shard(opened, 0).unlink()


DAMAGE = {
    "altered": (lambda o: alter(shard(o)), [2]),
    "lost": (lost_shard, [0]),
    "cut": (lambda o: shard(o, 1).write_bytes(shard(o, 1).read_bytes()[:-1]), [1]),
    "manifest": (damaged_manifest, [0, 1, 2]),
    "all": (
        lambda o: [p.write_bytes(b"") for p in [*(shard(o, k) for k in range(3)), manifest(o)]],
        [0, 1, 2],
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_was_damaged_is_made_again_to_the_same_bytes(opened, capsys, damage):
    before = everything(opened)
    harm, again = DAMAGE[damage]
    harm(opened)
    later = FeatureStore(opened.path, shard_rows=R)
    with pytest.raises(ValueError, match=r"gc --damaged"):
        later.read(ENCODER, IMAGES)
    assert run(capsys, "store", "gc", str(opened.path), "--damaged", "--yes")[0] == 0
    assert later.missing(ENCODER, IMAGES) == again
    assert run(capsys, "store", "verify", str(opened.path))[0] == 0
    fill(later)
    later.finish(ENCODER, IMAGES)
    assert everything(later) == before


def test_a_damaged_shard_of_unfinished_features_goes_alone(opened, capsys):
    fill(opened, shards=[0], encoder=OTHER)
    path = shard(opened, 0, OTHER)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ValueError, match=r"gc --damaged"):
        opened.missing(OTHER, IMAGES)
    assert "damaged" in run(capsys, "store", "ls", str(opened.path))[1]
    run(capsys, "store", "gc", str(opened.path), "--damaged", "--yes")
    assert opened.missing(OTHER, IMAGES) == [0, 2] and shard(opened, 1, OTHER).is_file()


def aged(opened, encoder, seconds):
    for point in encoder.dims:
        when = time.time() - seconds
        os.utime(manifest(opened, encoder, point), (when, when))


@pytest.fixture
def two(tmp_path):
    """The same names twice: old weights and new ones."""
    opened = FeatureStore(tmp_path, shard_rows=R)
    for encoder, age in ((ENCODER, 100), (NEW, 50)):
        fill(opened, encoder=encoder)
        opened.finish(encoder, IMAGES)
        aged(opened, encoder, age)
    return opened


def test_superseded_features_go_and_the_newest_stay(two, capsys):
    code, _, _ = run(capsys, "store", "gc", str(two.path), "--superseded", "--yes")
    assert code == 0 and two.has(NEW, IMAGES, "joint") and not two.has(ENCODER, IMAGES)
    assert not two.part(ENCODER, IMAGES).folder.exists()
    assert lines(run(capsys, "store", "gc", str(two.path), "--superseded")[1]) == ["0 files, 0 bytes removed"]


def test_features_are_not_superseded_by_damaged_or_unfinished_ones(two, capsys):
    alter(shard(two, encoder=NEW))
    manifest(two, NEW, "joint").unlink()
    assert lines(run(capsys, "store", "gc", str(two.path), "--superseded")[1]) == ["0 files, 0 bytes removed"]


@pytest.mark.parametrize(
    ("key", "value"), [("preprocess", "whole"), ("compute", "bfloat16"), ("points", "pre 5")]
)
def test_a_choice_supersedes_nothing(two, capsys, key, value):
    chosen = replace(NEW, identity={**NEW.identity, key: value})
    fill(two, encoder=chosen)
    two.finish(chosen, IMAGES)
    run(capsys, "store", "gc", str(two.path), "--superseded", "--yes")
    assert two.has(NEW, IMAGES) and two.has(chosen, IMAGES) and not two.has(ENCODER, IMAGES)


def test_features_of_one_time_do_not_supersede_each_other(two, capsys):
    when = time.time()
    for encoder in (ENCODER, NEW):
        for point in encoder.dims:
            os.utime(manifest(two, encoder, point), (when, when))
    assert lines(run(capsys, "store", "gc", str(two.path), "--superseded")[1]) == ["0 files, 0 bytes removed"]


def test_left_overs_older_than_an_hour_go_and_strangers_stay(tmp_path, capsys):
    opened = FeatureStore(tmp_path, shard_rows=R)
    fill(opened)
    folder, ending = opened.part(ENCODER, IMAGES).folder, f"{'0a' * 16}.partial"
    old = [folder / f"shard-00001.safetensors.{ending}", tmp_path / "heads" / f"h.safetensors.{ending}"]
    young = folder / f"shard-00002.safetensors.{ending}"
    strangers = [folder / "notes.txt", folder / "x.partial", tmp_path / "mine" / "b" / "c" / "manifest.json"]
    for path in [*old, young, *strangers]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
        if path != young:
            os.utime(path, (0, 0))
    before = digest(tmp_path)
    options = ("--unfinished", "--damaged", "--superseded", "--yes")
    assert lines(run(capsys, "store", "gc", str(tmp_path), "--yes")[1])[-1] == "2 files, 8 bytes removed"
    assert digest(tmp_path) == {k: v for k, v in before.items() if tmp_path / k not in old}
    run(capsys, "store", "gc", str(tmp_path), *options)
    assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == sorted([young, *strangers])


def test_folders_that_become_empty_go_too(tmp_path, capsys):
    opened = FeatureStore(tmp_path, shard_rows=R)
    fill(opened)
    run(capsys, "store", "gc", str(tmp_path), "--unfinished", "--yes")
    assert list(tmp_path.iterdir()) == []


def test_an_address_whose_package_is_missing_is_one_line(capsys, monkeypatch):
    pytest.importorskip("upath", reason="needs the extra 'cluster'")
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    code, out, err = run(capsys, "store", "ls", "s3://bucket/features")
    assert code == 2 and out == "" and err.startswith("featurelens: s3://bucket/features: ")


def test_an_address_that_does_not_answer_is_one_line(capsys, monkeypatch):
    pytest.importorskip("upath", reason="needs the extra 'cluster'")

    def refused(_):
        raise RuntimeError("no credentials")

    monkeypatch.setattr(type(storage.at("memory://x")), "is_dir", refused)
    message = "featurelens: expected a feature store at memory://x, found none: no credentials\n"
    assert run(capsys, "store", "ls", "memory://x") == (2, "", message)
