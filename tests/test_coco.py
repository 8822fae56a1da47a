import json

import pytest
from PIL import Image

from featurelens import coco, conceptsets

CATEGORIES = [
    {"id": 7, "name": "cat", "supercategory": "animal"},
    {"id": 3, "name": "mouse", "supercategory": "animal"},
    {"id": 90, "name": "mouse", "supercategory": "electronic"},
    {"id": 5, "name": "thing"},
]


def write(root, has, beside="annotations", **changes):
    """Write pictures 10, 11, … with the given category ids; return the path of the annotations."""
    folder = root / "coco" / "val2017"
    folder.mkdir(parents=True)
    for i in range(len(has)):
        Image.new("RGB", (8, 6), (20 * i, 0, 0)).save(folder / f"{i}.jpg")
    data = {
        "images": [{"id": 10 + i, "file_name": f"{i}.jpg"} for i in range(len(has))],
        "annotations": [
            {"image_id": 10 + i, "category_id": c, "iscrowd": n, "segmentation": []}
            for i, ids in enumerate(has)
            for n, c in enumerate(ids)
        ],
        "categories": CATEGORIES,
    }
    path = root / "coco" / beside / "instances_val2017.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(data | changes))
    return path


@pytest.mark.parametrize("beside", ["annotations", "."])
def test_presence_by_annotation(tmp_path, beside):
    has = [[7], [], [3, 3, 90], [5, 7]]
    concepts = conceptsets.load(write(tmp_path, has, beside))
    assert concepts.names == ["cat", "mouse (animal)", "mouse (electronic)", "thing"]
    assert concepts.categories == ["animal", "animal", "electronic", "object"]
    expected = [[category["id"] in ids for category in CATEGORIES] for ids in has]
    assert concepts.present_NT.tolist() == expected
    assert concepts.known_NT is None and concepts.failures == []
    assert concepts.images.name == "val2017" and concepts.images.keys == [f"{i}.jpg" for i in range(4)]
    assert concepts.images[3].getpixel((0, 0))[0] == pytest.approx(60, abs=4)


def test_bad_pictures_are_left_out_with_a_reason(tmp_path):
    path = write(tmp_path, [[7], [3], [8], [5]])
    data = json.loads(path.read_text())
    data["annotations"].append({"image_id": 99, "category_id": 7})
    path.write_text(json.dumps(data))
    (tmp_path / "coco" / "val2017" / "1.jpg").unlink()
    concepts = coco.load(path)
    assert concepts.images.keys == ["0.jpg", "3.jpg"]
    assert concepts.present_NT.tolist() == [[True, False, False, False], [False, False, False, True]]
    assert {failure["key"]: failure["reason"] for failure in concepts.failures} == {
        "1.jpg": "the picture is missing",
        "2.jpg": "expected a listed category, found 8",
        "image 99": "annotated, but not listed",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": []}, "val2017: expected pictures with labels .* found none; the list is empty"),
        ({"categories": []}, "val2017: expected at least one concept, found none"),
        ({"images": None}, "expected a list 'images' of objects with id and file_name"),
        ({"annotations": [{"image_id": 1}]}, "expected a list 'annotations' .* image_id and category_id"),
        ({"categories": CATEGORIES * 2}, "expected each id of 'categories' once, found 7 more than once"),
        ({"images": [{"id": 10, "file_name": "0.jpg"}] * 2}, "expected each id of 'images' once, found 10"),
        ({"categories": [*CATEGORIES, {"id": 1, "name": "thing"}]}, r"unique concept names, found 'thing \("),
    ],
)
def test_files_that_cannot_be_used_are_refused(tmp_path, changes, message):
    path = write(tmp_path, [[]] if "categories" in changes else [[7]], **changes)
    with pytest.raises(ValueError, match=message):
        coco.load(path)


def test_not_json_and_not_there(tmp_path):
    path = write(tmp_path, [[7]])
    path.write_text("{")
    with pytest.raises(ValueError, match=r"instances_val2017.json: expected JSON, found: .*"):
        coco.load(path)
    with pytest.raises(FileNotFoundError, match=r"found nothing at instances_no.json"):
        coco.load(path.with_name("instances_no.json"))
    other = path.with_name("instances_train2017.json")
    other.write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    with pytest.raises(
        FileNotFoundError, match=r"expected its pictures in a folder train2017 beside it, found none"
    ):
        coco.load(other)


def test_the_folder_around_it_asks_for_the_file(tmp_path):
    path = write(tmp_path, [[7]])
    with pytest.raises(
        ValueError, match=r"coco: expected the annotations by name, such as instances_val2017"
    ):
        conceptsets.load(path.parent.parent)
