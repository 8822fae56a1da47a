import numpy as np
import pytest
import torch

from featurelens.miniature import render, sets, world


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FEATURELENS_CACHE", str(tmp_path))


def test_a_set_is_rendered_once_and_read_back():
    first = sets.load("v2", limit=30)
    [file] = sets.paths.cache().glob("miniature/v2*.npy")
    written = file.stat().st_mtime_ns
    again = sets.load("v2", limit=30)
    assert file.stat().st_mtime_ns == written
    assert np.array_equal(first.x_NHWC, render.render("v2", torch.arange(30)).numpy())
    assert np.array_equal(first.x_NHWC, again.x_NHWC)
    assert isinstance(again.x_NHWC, np.memmap)
    assert not list(file.parent.glob(".*"))


def test_pixels_labels_and_captions_belong_together():
    data = sets.load("web", limit=25)
    x_NCHW = data.pixels(torch.tensor([3, 7]))
    assert x_NCHW.shape == (2, 3, 32, 32) and x_NCHW.dtype == torch.float32
    assert x_NCHW.min() >= -1 and x_NCHW.max() <= 1
    torch.testing.assert_close((x_NCHW[1].permute(1, 2, 0) + 1) * 127.5, torch.tensor(data.x_NHWC[7]).float())
    assert len(data.captions()) == len(data) == len(data.y_N) == 25
    assert data.classes == world.names("object")


def test_adversarial_pictures_are_candidates():
    data = sets.load("adversarial", limit=10)
    index_N = sets._adversarial_index()[:10]
    assert np.array_equal(data.x_NHWC, render.render("candidates", index_N).numpy())
    assert torch.equal(data.y_N, index_N % 12)


def test_another_size_and_an_unknown_name():
    assert sets.load("sketch", limit=3, height=48, width=40).x_NHWC.shape == (3, 48, 40, 3)
    with pytest.raises(KeyError, match="did you mean rendition"):
        sets.load("renditions")
