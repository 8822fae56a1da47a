import io
import tarfile

import pytest
import torch
from PIL import Image

from featurelens import concept_folders, conceptsets


def picture(n):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (10 * n, 0, 0)).save(buffer, "BMP")  # all of one size in bytes
    return buffer.getvalue()


def write(root, contents):
    for key, data in contents.items():
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(data)
    return root


PLAIN = {"b/0.bmp": picture(0), "b/1.bmp": picture(1), "a/2.bmp": picture(2), "a/again.bmp": picture(1)}


def test_a_folder_a_concept(tmp_path):
    concepts = conceptsets.load(write(tmp_path / "mine", PLAIN))
    assert concepts.names == ["a", "b"] and concepts.categories == ["concept"] * 2
    assert concepts.images.name == "mine" and concepts.images.keys == ["a/2.bmp", "a/again.bmp", "b/0.bmp"]
    assert concepts.present_NT.tolist() == [[True, False], [True, True], [False, True]]
    assert concepts.known_NT is None and concepts.failures == []
    assert [image.getpixel((0, 0))[0] for image in concepts.images] == [20, 10, 0]


def test_a_tar_reads_like_the_folder(tmp_path):
    tree = concept_folders.load(write(tmp_path / "mine", PLAIN))
    with tarfile.open(tmp_path / "mine.tar", "w") as archive:
        archive.add(tmp_path / "mine", "mine")
    packed = conceptsets.load(tmp_path / "mine.tar")
    assert packed.images.identity == tree.images.identity and packed.names == tree.names
    assert torch.equal(packed.present_NT, tree.present_NT)
    assert [image.getpixel((0, 0))[0] for image in packed.images] == [20, 10, 0]


def test_categories_above_the_concepts(tmp_path):
    contents = {
        "part/wheel/0.bmp": picture(0),
        "object/wheel/1.bmp": picture(1),
        "object/car/2.bmp": picture(1),
    }
    concepts = concept_folders.load(write(tmp_path, contents))
    assert concepts.names == ["car", "wheel (object)", "wheel (part)"]
    assert concepts.categories == ["object", "object", "part"]
    assert concepts.present_NT.tolist() == [[True, True, False], [False, False, True]]


def test_equal_sizes_are_not_equal_pictures_and_a_copy_in_one_folder_is_one(tmp_path):
    contents = {f"a/{n}.bmp": picture(n % 5) for n in range(10)} | {"b/x.bmp": picture(7)}
    assert len({len(data) for data in contents.values()}) == 1
    concepts = concept_folders.load(write(tmp_path, contents))
    assert concepts.present_NT.sum(0).tolist() == [5, 1] and len(concepts.images) == 6


def test_a_concept_without_negatives_is_kept(tmp_path):
    concepts = concept_folders.load(write(tmp_path, {"a/0.bmp": picture(0), "a/1.bmp": picture(1)}))
    assert concepts.names == ["a"] and concepts.present_NT.all()


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"0.bmp": picture(0)}, r"expected all pictures in <concept>/ or .*, found 0.bmp"),
        ({"0.bmp": picture(0), "a/1.bmp": picture(1)}, "found 0.bmp and a/1.bmp"),
        ({"a/0.bmp": picture(0), "a/b/1.bmp": picture(1)}, "found a/0.bmp and a/b/1.bmp"),
        ({"a/b/c/1.bmp": picture(1)}, "found a/b/c/1.bmp"),
        ({"a/notes.txt": b"x"}, "expected pictures in .*, found 1 other files"),
    ],
)
def test_other_folders_are_refused(tmp_path, contents, message):
    with pytest.raises(ValueError, match=message):
        concept_folders.load(write(tmp_path, contents))
