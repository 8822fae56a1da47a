import csv
import http.server
import re
import threading
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from featurelens import broden, broden_masks, conceptsets, downloads

COLUMNS = ["color", "object", "part", "material", "scene", "texture"]
# `door` is a word of two categories, `glass` two labels of one name, `scene`s and `texture`s are of whole
# pictures; 300 needs the green channel; 6 is on no picture.
LABELS = [
    (1, "red-c", "color(9)"),
    (2, "door", "part(3);object(8)"),
    (3, "glass", "material(5)"),
    (4, "glass", "object(2)"),
    (5, "street-s", "scene(4)"),
    (6, "moon bounce", "object(1)"),
    (7, "flecked", "texture(2)"),
    (8, "meshed", "texture(2)"),
    (300, "tree", "object(7)"),
]
NAMES = ["red-c", "door", "glass (material)", "glass (object)", "street-s", "moon bounce"]
NAMES += ["flecked", "meshed", "tree"]
CATEGORIES = "color object material object scene object texture texture object".split()  # noqa: SIM905
KEYS = ["number", "name", "category"]
HEADER = ["image", "split", "ih", "iw", "sh", "sw", *COLUMNS]


def write_csv(file, header, rows):
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([header, *rows])


def mask(file, code_HW):
    code_HW = np.asarray(code_HW)
    blue_HW = np.full_like(code_HW, 7)  # means nothing
    Image.fromarray(np.stack([code_HW % 256, code_HW // 256, blue_HW], 2).astype(np.uint8)).save(file)


def tree(root, count=14):
    """Write a small Broden; return its folder and, for each picture and column, the labels in it."""
    draw = np.random.default_rng(0)
    folder = root / "broden1_8"
    (folder / "images" / "src").mkdir(parents=True)
    rows, truth = [], []
    for n in range(count):
        cells, here = dict.fromkeys(COLUMNS, ""), {}
        for column, choices in {"color": [1], "object": [2, 4, 300], "part": [2], "material": [3]}.items():
            planes = int(draw.integers(0, 3 if column == "part" else 2))
            files, here[column] = [], [set() for _ in range(planes)]
            for plane in range(planes):
                code_HW = draw.choice([0, 0, 0, *choices], (2, 3))
                files.append(f"src/{n:02d}_{column}_{plane}.png")
                mask(folder / "images" / files[-1], code_HW)
                here[column][plane] = {int(code) for row in code_HW for code in row} - {0}
            cells[column] = ";".join(files)
        cells["scene"], cells["texture"] = [("5", ""), ("", "7;8"), ("0", "8"), ("", "")][n % 4]
        here["scene"] = [{5}] if n % 4 == 0 else [set()] if n % 4 == 2 else []
        here["texture"] = [[], [{7, 8}], [{8}], []][n % 4]
        key = f"src/{n:02d}.jpg"
        Image.new("RGB", (6, 4), (10 * n, 0, 0)).save(folder / "images" / key)
        rows.append([key, "train" if n % 3 else "val", 4, 6, 2, 3, *(cells[c] for c in COLUMNS)])
        truth.append(here)
    write_csv(folder / "index.csv", HEADER, rows)
    label_header = ["number", "name", "category", "frequency", "coverage", "syns"]
    write_csv(folder / "label.csv", label_header, [(*label, 1, 0.5, "") for label in LABELS])
    return folder, rows, truth


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FEATURELENS_CACHE", str(tmp_path / "cache"))


def test_presence_is_any_pixel_or_a_label_of_the_picture(tmp_path):
    folder, rows, truth = tree(tmp_path)
    concepts = conceptsets.load(folder)
    assert concepts.names == NAMES and concepts.failures == []
    assert concepts.categories == CATEGORIES
    for n, here in enumerate(truth):
        everywhere = set().union(*(plane for planes in here.values() for plane in planes))
        expected = [number in everywhere for number, _, _ in LABELS]
        assert concepts.present_NT[n].tolist() == expected, n
    counts = concepts.present_NT.sum(0)
    assert counts[5] == 0 and ((counts > 0) & (counts < len(rows)))[[0, 1, 2, 3, 4, 6, 7, 8]].all()


def test_known_is_an_annotated_category_or_presence(tmp_path):
    folder, _, truth = tree(tmp_path)
    concepts = broden.load(folder)
    for n, here in enumerate(truth):
        for t, category in enumerate(concepts.categories):
            annotated = len(here[category]) > 0
            assert concepts.known_NT[n, t] == (annotated or concepts.present_NT[n, t]), (n, t)
    scene = concepts.names.index("street-s")
    assert concepts.known_NT[2, scene] and not concepts.present_NT[2, scene]  # a 0 is an annotation
    assert not concepts.known_NT[1, scene]
    door = concepts.names.index("door")  # mostly an object: present as a part says so even without objects
    lone = [n for n, here in enumerate(truth) if not here["object"] and any(here["part"])]
    assert lone and all(concepts.known_NT[n, door] for n in lone)


def test_pictures_come_with_their_labels(tmp_path):
    folder, rows, _ = tree(tmp_path)
    images = broden.load(folder).images
    assert images.name == "broden1_8" and images.keys == [row[0] for row in rows]
    assert images.attributes["split"] == [row[1] for row in rows]
    assert [images[n].getpixel((0, 0))[0] for n in range(14)] == pytest.approx(
        [10 * n for n in range(14)], abs=4
    )


def spoil(folder, rows, n, how):
    """Break picture n; return the reason that is expected."""
    name = f"src/{n:02d}_spoilt.png"
    file, cell = folder / "images" / name, 6 + COLUMNS.index("object")
    if how == "picture":
        (folder / "images" / rows[n][0]).unlink()
        return "the picture is missing"
    rows[n][cell] = name
    if how == "no mask":
        return rf"{name}: expected a mask, found no such file"
    if how == "number":
        rows[n][cell] = "2;99"
        return r"index.csv: expected labels of label.csv, found 99"
    mask(file, [[0, 0, 2], [2, 99, 2]] if how == "code" else np.zeros((3, 3), int))
    if how == "grey":
        Image.new("L", (3, 2), 2).save(file)
    if how == "corrupt":
        file.write_bytes(file.read_bytes()[:40])
    return {
        "code": rf"{name}: expected labels of label.csv, found 99",
        "size": rf"{name}: expected a mask of 2 x 3 x 3, as index.csv says, found 3 x 3 x 3",
        "grey": rf"{name}: expected a mask of 2 x 3 x 3, as index.csv says, found 2 x 3",
        "corrupt": rf"{name} \(40 bytes\) does not decode: .*",
    }[how]


@pytest.mark.parametrize("how", ["picture", "no mask", "number", "code", "size", "grey", "corrupt"])
def test_one_bad_picture_is_left_out_with_a_reason_and_costs_no_other(tmp_path, how):
    folder, rows, _ = tree(tmp_path)
    whole = broden.load(folder)
    reason = spoil(folder, rows, 4, how)
    write_csv(folder / "index.csv", HEADER, rows)
    concepts = broden.load(folder)
    [failure] = concepts.failures
    assert failure["key"] == "src/04.jpg" and re.fullmatch(reason, failure["reason"])
    keep = [n for n in range(14) if n != 4]
    assert concepts.images.keys == [whole.images.keys[n] for n in keep]
    assert torch.equal(concepts.present_NT, whole.present_NT[keep])
    assert torch.equal(concepts.known_NT, whole.known_NT[keep])
    assert concepts.images.identity != whole.images.identity


def test_bad_rows_of_the_index(tmp_path):
    folder, rows, _ = tree(tmp_path)
    rows[1] = rows[1][:9]
    rows[2][4] = "two"
    rows[5] = list(rows[0])
    write_csv(folder / "index.csv", HEADER, rows)
    concepts = broden.load(folder)
    assert {failure["key"]: failure["reason"] for failure in concepts.failures} == {
        "src/01.jpg": "index.csv: expected 12 cells, found 9",
        "src/02.jpg": "index.csv: expected sh and sw as numbers from 1, found 'two' and '3'",
        "src/00.jpg": "listed again",
    }
    assert len(concepts.images) == 11


@pytest.mark.parametrize(
    ("file", "header", "rows", "message"),
    [
        ("index.csv", HEADER, [], "index.csv: expected rows below the header, found none"),
        ("index.csv", HEADER[:6], [["a"] * 6], "index.csv: expected columns image, .* for each category"),
        ("index.csv", ["x", *HEADER[1:]], [["a"] * 12], "index.csv: expected columns image, .* found x,"),
        ("index.csv", HEADER, [["a.jpg", "val", 1, 1, 1, 1, *[""] * 6]], "found none; a.jpg: the picture is"),
        ("label.csv", ["number"], [[1]], "label.csv: expected columns number, name, category"),
        ("label.csv", KEYS, [[0, "a", "b"]], r"expected a number from 1, .*'0'"),
        ("label.csv", KEYS, [[1, "a", "b"], [1, "c", "b"]], "found 1 more than once"),
        ("label.csv", KEYS, [[1, "a", "b"], [2, "a", "b(3)"]], "unique concept .*'a"),
    ],
    ids=["no rows", "no columns", "other columns", "no pictures", "no names", "zero", "number", "name"],
)  # fmt: skip
def test_tables_that_cannot_be_used_are_refused(tmp_path, file, header, rows, message):
    folder, images, _ = tree(tmp_path)
    if file == "label.csv":  # leave only what needs no label
        write_csv(folder / "index.csv", HEADER, [[*row[:6], *[""] * 6] for row in images])
    write_csv(folder / file, header, rows)
    with pytest.raises(ValueError, match=message):
        broden.load(folder)


def test_missing_tables(tmp_path):
    folder, _, _ = tree(tmp_path)
    (folder / "label.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"expected Broden's label.csv in broden1_8, found no such"):
        conceptsets.load(folder)


def noted(monkeypatch, stop_after=None):
    """Note in a list whose masks are read; stop reading after so many."""
    read, plain = [], broden_masks._labels

    def noting(images, row, position):
        if len(read) == stop_after:
            raise KeyboardInterrupt
        read.append(row.key)
        return plain(images, row, position)

    monkeypatch.setattr(broden_masks, "_labels", noting)
    return read


def test_masks_are_read_once_and_again_only_where_they_changed(tmp_path, monkeypatch):
    folder, rows, _ = tree(tmp_path)
    read = noted(monkeypatch)
    first = broden.load(folder)
    assert sorted(read) == [row[0] for row in rows]
    read.clear()
    assert torch.equal(broden.load(folder).present_NT, first.present_NT) and read == []
    n = next(n for n, row in enumerate(rows) if row[6])
    mask(folder / "images" / rows[n][6], np.zeros((2, 3), int))
    changed = broden.load(folder)
    assert read == [rows[n][0]] and not changed.present_NT[n, 0]
    (folder / "label.csv").write_text((folder / "label.csv").read_text().replace("tree", "palm"))
    read.clear()
    assert broden.load(folder).names[-1] == "palm" and len(read) == 14


def test_a_stopped_reading_goes_on_where_it_was(tmp_path, monkeypatch):
    folder, rows, _ = tree(tmp_path)
    monkeypatch.setattr(broden_masks, "SAVED_EVERY", 4)
    with monkeypatch.context() as stopping:
        noted(stopping, stop_after=9)
        with pytest.raises(KeyboardInterrupt):
            broden.load(folder)
    read = noted(monkeypatch)
    concepts = broden.load(folder)
    assert sorted(read) == [row[0] for row in rows[8:]]
    monkeypatch.setenv("FEATURELENS_CACHE", str(tmp_path / "other"))
    assert torch.equal(broden.load(folder).present_NT, concepts.present_NT)


def test_what_could_not_be_read_is_tried_again(tmp_path):
    folder, rows, _ = tree(tmp_path)
    whole = broden.load(folder).present_NT
    file = next(folder / "images" / row[6] for row in rows if row[6])
    good = file.read_bytes()
    file.unlink()
    assert len(broden.load(folder).failures) == 1
    file.write_bytes(good)
    again = broden.load(folder)
    assert again.failures == [] and torch.equal(again.present_NT, whole)


def test_download_unpacks_what_load_reads(tmp_path, monkeypatch):
    folder, _, _ = tree(tmp_path)
    (tmp_path / "served").mkdir()
    with zipfile.ZipFile(tmp_path / "served" / "broden1_227.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
        for file in folder.rglob("*"):
            zipped.write(file, f"broden1_227/{file.relative_to(folder)}")
    handler = type("Handler", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *a: handler(*a, directory=tmp_path / "served")
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(broden, "URL", f"http://127.0.0.1:{server.server_port}/broden1_{{size}}.zip")
        found = broden.download(tmp_path / "here")
        server.shutdown()
    assert found == tmp_path / "here" / "broden1_227"
    assert sorted(path.name for path in found.parent.iterdir()) == ["broden1_227", "broden1_227.zip.sha256"]
    assert torch.equal(broden.load(found).present_NT, broden.load(folder).present_NT)
    monkeypatch.setattr(downloads, "fetch", None)
    assert broden.download(tmp_path / "here") == found  # nothing is fetched twice


def test_there_are_three_sizes(tmp_path):
    with pytest.raises(ValueError, match="expected size 224, 227, 384, found 256"):
        broden.download(tmp_path, 256)
