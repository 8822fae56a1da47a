"""Extraction on a Ray cluster: a local one that the tests start, in which a worker is killed."""

import os
import signal
from pathlib import Path

import pytest
import ray
import test_extract
import torch

from featurelens import preprocess
from featurelens.encoder import wrap
from featurelens.extract import extract
from featurelens.imagesets import ImageSet
from featurelens.store import FeatureStore

pytestmark = pytest.mark.slow
TESTS = str(Path(__file__).parent)


@pytest.fixture(scope="module")
def cluster():
    paths = os.pathsep.join(filter(None, [TESTS, os.environ.get("PYTHONPATH")]))
    # One thread each, here and there: the last digits of features depend on it.
    env = {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": env})
    yield
    ray.shutdown()


def images(n=150, bad=(7, 90)):
    keys = [f"{i:03d}.png" for i in range(n)]
    identity = {"images": "set", "count": str(n), "sha256": "00"}
    return ImageSet("set", keys, ["a", "b"], torch.arange(n) % 2, identity, test_extract.Plain(bad))


class Fatal(test_extract.Tower):
    """Kills the worker it runs in, once."""

    def __init__(self, marker, home):
        super().__init__()
        self.marker, self.home = marker, home

    def forward(self, x):
        if len(x) > 1 and os.getpid() != self.home and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)


class Sizes:
    """A preprocessing that keeps each picture's size."""

    def __call__(self, picture):
        return torch.ones(3, picture.height, picture.width)

    def __repr__(self):
        return "sizes"


def test_a_killed_worker_is_replaced_and_the_store_has_the_same_bytes(cluster, tmp_path):
    marker = tmp_path / "killed"
    encoders = [test_extract.encoder(1), wrap("fatal", Fatal(marker, os.getpid()), preprocess.square(8))]
    pictures = images()
    by_ray, here = (FeatureStore(tmp_path / name, shard_rows=40) for name in ("ray", "here"))
    extract(encoders, pictures, by_ray, engine="ray")
    assert marker.exists()
    extract(encoders, pictures, here)
    assert test_extract.digest(by_ray.path) == test_extract.digest(here.path)
    assert [failure["row"] for failure in by_ray.failures(encoders[0], pictures)] == [7, 90]


def test_only_what_is_missing_is_sent(cluster, tmp_path):
    enc, pictures = test_extract.encoder(), images(n=100, bad=())
    store = FeatureStore(tmp_path, shard_rows=40)
    extract(enc, pictures, store)
    folder = store.part(enc, pictures).folder
    before = test_extract.digest(store.path)
    (folder / "manifest.json").unlink()
    (folder / "shard-00001.safetensors").unlink()
    stamps = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    extract(enc, pictures, store, engine="ray")
    assert test_extract.digest(store.path) == before
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps and len(stamps) == 2


def test_what_goes_wrong_on_a_worker_is_said_as_it_would_be_here(cluster, tmp_path):
    """Not in the words of Ray, which are pages."""
    enc = wrap("any", test_extract.Tower(), Sizes())
    with pytest.raises(ValueError, match=r"^set: expected one size after preprocessing, found \(3, 11, 13\)"):
        extract(enc, images(bad=()), FeatureStore(tmp_path), engine="ray")


def test_without_a_cluster_there_is_one_line(tmp_path, monkeypatch):
    ray.shutdown()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(ConnectionError, match="no Ray cluster found: `ray start --head` starts one"):
        extract(test_extract.encoder(), images(), FeatureStore(tmp_path), engine="ray")
