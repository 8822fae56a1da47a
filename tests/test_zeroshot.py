"""Zero-shot heads: as open_clip builds them, cached, and never another network's or an altered one."""

import json

import open_clip
import pytest
import tiny_towers
import torch
from safetensors.torch import load_file, save_file

from featurelens import checks, heads, preprocess, storage, zeroshot, zoo
from featurelens.store import FeatureStore

NAMES = ("tench", "kite (bird of prey)", "missile", "missile")


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """Function: seed -> name of a tiny CLIP; all of them in folders with the same name."""
    root = tmp_path_factory.mktemp("zeroshot")
    return lambda seed=0: tiny_towers.clip(root / str(seed) / "vit", seed=seed)


@pytest.fixture
def store(tmp_path):
    return FeatureStore(tmp_path / "store")


def files(store):
    return sorted(store.path.glob("heads/*"))


@pytest.mark.parametrize(("templates", "count"), [("openai-80", 80), ("simple-7", 7), ("single", 1)])
def test_head_is_what_open_clip_builds(templates, count, named, store):
    encoder = zoo.load(named())
    clip = open_clip.create_model_from_pretrained(named(), return_transform=False).eval()
    theirs = {
        "openai-80": open_clip.OPENAI_IMAGENET_TEMPLATES,
        "simple-7": open_clip.SIMPLE_IMAGENET_TEMPLATES,
        "single": [lambda name: f"a photo of a {name}."],
    }[templates]
    assert len(zeroshot.TEMPLATES[templates]) == len(theirs) == count
    w_DC = open_clip.build_zero_shot_classifier(clip, open_clip.get_tokenizer(named()), NAMES, theirs)
    head = zeroshot.head(encoder, NAMES, templates, store)
    torch.testing.assert_close(head.w_CD, w_DC.T)
    assert head.point == "joint" and head.b_C is None and head.w_CD.shape == (4, encoder.dims["joint"])
    torch.testing.assert_close(head.w_CD.norm(dim=1), torch.ones(4))
    assert torch.equal(head.w_CD[2], head.w_CD[3])  # one name for two classes: an exact tie


def test_head_agrees_with_the_library_s_own_construction(named, store):
    encoder = zoo.load(named())
    text = encoder.text
    with torch.no_grad():
        w_CD = heads.zero_shot_head(
            lambda prompts: text.model.encode_text(text.tokenizer(prompts)),
            NAMES,
            zeroshot.TEMPLATES["simple-7"],
        )
    torch.testing.assert_close(zeroshot.head(encoder, NAMES, "simple-7", store).w_CD, w_CD)


def test_cached_head_is_read_and_is_the_one_that_was_built(named, store, monkeypatch):
    encoder = zoo.load(named())
    built = zeroshot.head(encoder, NAMES, "single", store)
    monkeypatch.setattr(encoder.text, "head", None)
    assert torch.equal(zeroshot.head(encoder, NAMES, "single", store).w_CD, built.w_CD)
    assert [path.name.rpartition("-")[0] for path in files(store)] == ["local-dir_vit"]
    described = json.loads(storage.metadata(files(store)[0])["featurelens"])
    assert set(described["identity"]) == {*encoder.text.identity, "classes", "templates"}


def test_other_texts_classes_and_templates_have_heads_of_their_own(named, store):
    encoder, other = zoo.load(named()), zoo.load(named(seed=1))
    w_CD = zeroshot.head(encoder, NAMES, "single", store).w_CD
    assert not torch.allclose(zeroshot.head(other, NAMES, "single", store).w_CD, w_CD, atol=1e-3)
    assert len(files(store)) == 2
    zeroshot.head(encoder, NAMES[::-1], "single", store)
    zeroshot.head(encoder, NAMES, "simple-7", store)
    assert len(files(store)) == 4


def test_another_image_tower_with_the_same_text_side_shares_the_head(named, store):
    encoder, other = zoo.load(named()), zoo.load(named())
    with torch.no_grad():
        other.module.visual.proj += 1
    assert torch.equal(
        zeroshot.head(encoder, NAMES, "single", store).w_CD, zeroshot.head(other, NAMES, "single", store).w_CD
    )
    assert len(files(store)) == 1


@pytest.mark.parametrize("what", ["tensor", "identity", "cut"])
def test_altered_file_is_refused(what, named, store):
    encoder = zoo.load(named())
    zeroshot.head(encoder, NAMES, "single", store)
    [path] = files(store)
    tensors, entry = load_file(path), storage.metadata(path)
    if what == "cut":
        path.write_bytes(path.read_bytes()[:-8])
    elif what == "tensor":
        save_file({"w_CD": tensors["w_CD"].flip(0).contiguous()}, path, entry)
    else:
        save_file(tensors, path, {"featurelens": entry["featurelens"].replace("tench", "teeth")})
    with pytest.raises(ValueError, match=r"expected .* found an? (altered|damaged) file"):
        zeroshot.head(encoder, NAMES, "single", store)


def test_default_names_are_open_clips_not_those_of_wordnet():
    assert tuple(open_clip.IMAGENET_CLASSNAMES) == zeroshot.CLASSES and len(zeroshot.CLASSES) == 1000
    assert len(set(zeroshot.CLASSES)) == 998
    assert sum(a != b for a, b in zip(zeroshot.CLASSES, heads.imagenet("name"), strict=True)) > 500


def test_encoders_without_texts_and_bad_arguments_are_refused(named, store, tmp_path):
    classifier = zoo.load(tiny_towers.classifier(tmp_path / "resnet", classes=5))
    with pytest.raises(TypeError, match="local-dir/resnet: expected an encoder with a text side, found none"):
        zeroshot.head(classifier, NAMES, store=store)
    module = zoo.load(torch.nn.Flatten(), preprocess.square(8))
    with pytest.raises(TypeError, match="Flatten: expected an encoder with a text side"):
        zeroshot.head(module, NAMES, store=store)
    encoder = zoo.load(named())
    with pytest.raises(checks.UnknownNameError, match="unknown templates 'openai-8': did you mean openai-80"):
        zeroshot.head(encoder, NAMES, "openai-8", store)
    with pytest.raises(ValueError, match="classes: expected names, found none"):
        zeroshot.head(encoder, [], store=store)
    with pytest.raises(TypeError, match="classes: expected a sequence of names"):
        zeroshot.head(encoder, "dog", store=store)


def test_head_lies_at_an_address_as_well(named):
    pytest.importorskip("upath", reason="needs the extra 'cluster'")
    encoder, store = zoo.load(named()), FeatureStore("memory://zeroshot")
    built = zeroshot.head(encoder, NAMES, "single", store).w_CD
    assert len(list((store.path / "heads").iterdir())) == 1
    assert torch.equal(zeroshot.head(encoder, NAMES, "single", store).w_CD, built)
