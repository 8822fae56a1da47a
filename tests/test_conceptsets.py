import os
from dataclasses import replace

import pytest
import torch
from PIL import Image

from featurelens import checks, concept_labels, conceptsets, files, imagesets
from featurelens.concept_labels import ConceptSet


def image_set(name="set", count=4, **more):
    identity = {"images": name, "count": str(count), "sha256": "0"}
    keys = [f"{i}.png" for i in range(count)]
    fields = {"classes": [], "y_N": None, "decode": lambda i: Image.new("RGB", (2, 2), (i, 0, 0))}
    return imagesets.ImageSet(name=name, keys=keys, identity=identity, **(fields | more))


PRESENT = torch.eye(4, 2, dtype=torch.bool)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ["a", "a"]}, "set: expected unique concept names, found 'a' more than once"),
        ({"names": [], "categories": []}, "set: expected at least one concept, found none"),
        ({"categories": ["x"]}, "set: expected one category a concept, found 1 for 2"),
        ({"present_NT": PRESENT.T}, r"expected present as torch.bool \(4, 2\), found torch.bool \(2, 4\)"),
        ({"present_NT": PRESENT.float()}, r"expected present as torch.bool \(4, 2\), found torch.float32"),
        ({"known_NT": PRESENT[:3]}, r"expected known as torch.bool \(4, 2\), found torch.bool \(3, 2\)"),
        ({"known_NT": ~PRESENT}, "expected every concept that is present to be known, found others"),
    ],
)
def test_labels_that_do_not_fit_are_refused(changes, message):
    fields = {"names": ["a", "b"], "categories": ["x", "y"], "present_NT": PRESENT}
    with pytest.raises(ValueError, match=message):
        ConceptSet(image_set(), **(fields | changes))


def test_shared_names_get_their_category():
    names = ["door", "car", "door", "door (part)", "door"]
    found = concept_labels.distinct(names, ["part", "object", "object", "x", "part"])
    assert found == ["door (part)", "car", "door (object)", "door (part)", "door (part)"]


def test_classes_and_attributes_are_concepts():
    more = {"domain": ["photo", "photo", "art", "art"], "texture": ["cat", "dog", "dog", "cat"]}
    images = image_set(classes=["cat", "ant"], y_N=torch.tensor([0, 1, 0, 0]), attributes=more)
    concepts = conceptsets.from_imageset(images)
    assert concepts.names == ["ant", "cat (object)", "art", "photo", "cat (texture)", "dog"]
    assert concepts.categories == ["object", "object", "style", "style", "texture", "texture"]
    assert concepts.present_NT.int().tolist() == [
        [0, 1, 0, 1, 1, 0],
        [1, 0, 0, 1, 0, 1],
        [0, 1, 1, 0, 0, 1],
        [0, 1, 1, 0, 1, 0],
    ]
    assert concepts.images is images and concepts.known_NT is None


def test_classes_of_dtd_are_textures():
    images = image_set("dtd10", classes=["banded", "bumpy"], y_N=torch.tensor([0, 1, 0, 0]))
    assert conceptsets.from_imageset(images).categories == ["texture"] * 2


def test_masks_say_which_classes_any_pixel_has():
    masks = [torch.tensor(m, dtype=torch.uint8) for m in ([[0, 0, 2]], [[2, 1, 2]], [[9, 0, 0]], [[2, 2, 2]])]

    def mask(i):
        if i == 3:
            raise files.ImageError("annot/3.png does not decode: broken")
        return masks[i]

    images = image_set(classes=["sky", "road", "unlabelled"], mask=mask)
    concepts = conceptsets.from_imageset(images)
    assert concepts.names == ["sky", "road"] and concepts.categories == ["object", "object"]
    assert concepts.present_NT.tolist() == [[True, False], [False, True]]
    assert concepts.images.keys == ["0.png", "1.png"] and concepts.images.mask(1) is masks[1]
    assert concepts.failures == [
        {"key": "2.png", "reason": "expected classes 0 to 2 in the mask, found 9"},
        {"key": "3.png", "reason": "annot/3.png does not decode: broken"},
    ]
    with pytest.raises(
        ValueError, match="set: expected pictures that can be read, found none; expected class"
    ):
        conceptsets.from_imageset(replace(images, mask=lambda i: masks[2]))


def test_pictures_without_labels_are_refused():
    with pytest.raises(ValueError, match="set: expected classes, attributes or masks, found pictures only"):
        conceptsets.from_imageset(image_set())


def test_pictures_left_out_take_their_labels_with_them():
    more = {"attributes": {"split": ["a", "b", "c", "d"]}, "mask": lambda i: torch.tensor([[i]])}
    images = image_set(classes=["x", "y"], y_N=torch.tensor([0, 1, 1, 0]), **more)
    some, rows, failures = concept_labels.without(images, {2: "gone"})
    assert rows == [0, 1, 3] and failures == [{"key": "2.png", "reason": "gone"}]
    assert some.keys == ["0.png", "1.png", "3.png"] and some.y_N.tolist() == [0, 1, 0]
    assert [image.getpixel((0, 0))[0] for image in some] == [0, 1, 3]
    assert some.attributes == {"split": ["a", "b", "d"]} and some.mask(2) == 3
    assert some.identity["images"] == "set" and some.identity["count"] == "3"
    others = [concept_labels.without(images, unread)[0] for unread in ({}, {1: "gone"})]
    assert others[0] is images and others[1].identity["sha256"] != some.identity["sha256"] != "0"


def test_a_reading_that_fails_costs_no_other():
    def read(i):
        if i == 2:
            raise FileNotFoundError(2, "No such file or directory", "/somewhere/of/mine")
        return i * i

    found, unread = concept_labels.read_each(read, range(6), "numbers")
    assert found == {0: 0, 1: 1, 3: 9, 4: 16, 5: 25} and list(found) == sorted(found)
    assert unread == {2: "No such file or directory"}


def test_the_miniature_has_the_concepts_it_was_drawn_with(monkeypatch):
    from featurelens.miniature import masks, sets

    whole = sets.load
    monkeypatch.setattr(sets, "load", lambda name: whole(name, limit=300))
    concepts = conceptsets.load("miniature/rendition")
    expected = masks.masks(whole("rendition", limit=300).pictures)
    assert torch.equal(concepts.present_NT, expected.mask_NTHW.flatten(2).any(2))
    assert concepts.names == list(expected.names) and concepts.categories == list(expected.categories)
    assert len(concepts.images) == 300 and len(set(concepts.categories)) == 6


def test_nothing_there():
    with pytest.raises(checks.UnknownNameError, match="unknown image set 'dtd100': did you mean dtd10"):
        conceptsets.load("dtd100")
    with pytest.raises(FileNotFoundError, match="found nothing at"):
        conceptsets.load("./nothing-here")


@pytest.mark.skipif(not os.environ.get("FEATURELENS_IMAGES"), reason="FEATURELENS_IMAGES is unset")
def test_real_sets():
    textures, domains, street = (conceptsets.load(name) for name in ("dtd10", "pacs60", "camvid_val"))
    assert textures.present_NT.sum(0).tolist() == [120] * 10 and set(textures.categories) == {"texture"}
    assert domains.present_NT.sum(0).tolist() == [240] * 7 + [420] * 4
    assert domains.names[7:] == ["art_painting", "cartoon", "photo", "sketch"]
    assert "unlabelled" not in street.names and len(street.names) == 11
    assert street.present_NT.all()  # one drive through one town: every class is in every frame
