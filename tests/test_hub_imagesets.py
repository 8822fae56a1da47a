import io
import tarfile
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import errors
from PIL import Image

from featurelens import checks, hub_imagesets, imagesets, scales, subsets

NAMES = ["val", "v2", "r", "sketch", "a", "objectnet"]


def fake(root, name, classes=None):
    """One sample in the layout of the set, with its real list of class names."""
    (root / "test").mkdir(parents=True)
    data = io.BytesIO()
    Image.new("RGB", (4, 4)).save(data, "PNG")
    with tarfile.open(root / "test" / "0.tar", "w") as archive:
        for key, content in (("s0000000.png", data.getvalue()), ("s0000000.cls", b"7")):
            member = tarfile.TarInfo(key)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    (root / "test" / "nshards.txt").write_text("1")
    names = classes or [label.split(",")[0].lower() for label in subsets.of(name).classes]
    (root / "classnames.txt").write_text("\n".join(names))
    return root


@pytest.fixture
def hub(monkeypatch):
    """The hub's download: it does what ``answer`` says, and remembers how it was called."""
    state = SimpleNamespace(calls=[], answer=None)

    def snapshot_download(repo_id, **options):
        state.calls.append((repo_id, options))
        if isinstance(state.answer, Exception):
            raise state.answer
        return str(state.answer)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.delenv("FEATURELENS_IMAGES", raising=False)
    return state


def test_the_table_says_what_each_set_should_be(hub):
    table = hub_imagesets.table()
    assert list(table) == NAMES == list(subsets.NAMES)
    assert [imagesets.expected(name) for name in NAMES] == [50000, 10000, 30000, 50889, 7500, 18514]
    assert [int(row["classes"]) for row in table.values()] == [len(subsets.of(n).classes) for n in NAMES]
    assert all(row["terms"] and row["access"] and row["hub"].startswith("clip-") for row in table.values())
    with pytest.raises(
        checks.UnknownNameError, match="unknown image set from the hub 'vall': did you mean val"
    ):
        imagesets.expected("vall")


def test_listing_names_fetches_nothing(hub):
    assert set(NAMES) <= set(imagesets.names()) and not hub.calls


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_among_the_images_comes_first(hub, monkeypatch, tmp_path, name):
    fake(tmp_path / hub_imagesets.table()[name]["hub"].split("/")[1], name)
    monkeypatch.setenv("FEATURELENS_IMAGES", str(tmp_path))
    images = imagesets.load(name)
    assert not hub.calls and images.name == images.identity["images"] == name and len(images) == 1
    assert images.y_N.tolist() == [7] and len(images.classes) == len(subsets.of(name).classes)


def test_else_it_comes_from_the_hub_and_is_the_same_set(hub, monkeypatch, tmp_path):
    monkeypatch.setenv("FEATURELENS_IMAGES", str(tmp_path))  # set, but the folder is not in it
    hub.answer = fake(tmp_path / "cache" / "snapshots" / "0123abc", "a")
    images = imagesets.load("a")
    patterns = ["classnames.txt", "test/*"]
    assert hub.calls == [
        ("clip-benchmark/wds_imagenet-a", {"repo_type": "dataset", "allow_patterns": patterns})
    ]
    assert images.name == "a" and images[0].size == (4, 4)
    fake(tmp_path / "wds_imagenet-a", "a")
    assert imagesets.load("a").identity == images.identity and len(hub.calls) == 1


RESPONSE = SimpleNamespace(headers={}, request=None)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (
            errors.GatedRepoError("403 Client Error\n\nlong text", response=RESPONSE),
            "its terms were not accepted",
        ),
        (errors.RepositoryNotFoundError("404\n\ntext", response=RESPONSE), "the hub does not show it"),
        (
            errors.LocalEntryNotFoundError("no\nsnapshot"),
            "it is not on this machine and the hub does not answer",
        ),
        (errors.OfflineModeIsEnabled("offline"), "it is not on this machine and the hub does not answer"),
        (errors.HfHubHTTPError("500", response=RESPONSE), r"the download failed \(HfHubHTTPError\)"),
        (TimeoutError("read timed out"), r"the download failed \(TimeoutError\)"),
    ],
)
def test_what_is_out_of_reach_says_where_it_is_and_what_to_accept(hub, error, why):
    hub.answer = error
    with pytest.raises(scales.Unreachable, match=rf"^image set 'val': {why}") as info:
        imagesets.load("val")
    message = str(info.value)
    assert "on the hub: clip-benchmark/wds_imagenet1k (dataset; log in there and accept" in message
    assert "put its folder wds_imagenet1k into FEATURELENS_IMAGES" in message and "\n" not in message


def test_a_real_offline_hub_is_out_of_reach(monkeypatch, tmp_path):
    """The package itself, with no network and nothing in its cache."""
    monkeypatch.delenv("FEATURELENS_IMAGES", raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    whole = huggingface_hub.snapshot_download
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda *a, **k: whole(*a, cache_dir=tmp_path, **k)
    )
    with pytest.raises(scales.Unreachable, match="it is not on this machine and the hub does not answer"):
        imagesets.load("r")


def test_class_names_in_another_order_are_refused(hub, tmp_path):
    by_name = sorted(subsets.of("objectnet").classes, key=str.lower)
    hub.answer = fake(tmp_path / "snapshot", "objectnet", by_name)
    with pytest.raises(
        ValueError, match=r"^objectnet: expected class 5 to be 'Beer bottle', found 'Bath towel'; 31 of"
    ):
        imagesets.load("objectnet")


def test_an_unfinished_download_says_which_tar_is_missing(hub, tmp_path):
    hub.answer = fake(tmp_path / "snapshot", "v2")
    (hub.answer / "test" / "nshards.txt").write_text("2")
    with pytest.raises(FileNotFoundError, match=r"expected 2 tars, as nshards.txt says, found no 1.tar"):
        imagesets.load("v2")


def test_another_set_is_one_row_of_the_table(hub, monkeypatch, tmp_path):
    row = {"called": "fog", "head": "imagenet_a", "hub": "someone/wds_fog", "images": "3", "classes": "200"}
    rows = {**hub_imagesets.table(), "fog": {**row, "terms": "any", "access": "none"}}
    monkeypatch.setattr(hub_imagesets, "table", lambda: rows)
    monkeypatch.setattr(subsets, "NAMES", tuple(rows))
    fake(tmp_path / "wds_fog", "fog")
    monkeypatch.setenv("FEATURELENS_IMAGES", str(tmp_path))
    images = imagesets.load("fog")
    assert images.name == "fog" and len(images.classes) == 200 and imagesets.expected("fog") == 3
    assert subsets.of("fog").rows_R.equal(subsets.of("a").rows_R)
