import colorsys
import csv
import io

import numpy as np
import pytest
import torch
from matplotlib.colors import XKCD_COLORS, to_rgb
from PIL import Image

from featurelens import colours, concept_folders


def plain_term(r, g, b):
    """First box of the table that holds the colour, with the standard library's HSV."""
    hue, saturation, value = (
        x * full for x, full in zip(colorsys.rgb_to_hsv(r, g, b), (360, 100, 100), strict=True)
    )
    with colours.TABLE.open() as file:
        for row in csv.DictReader(file):
            found = {"hue": hue, "saturation": saturation, "value": value}
            if all(float(row[f"{a}_from"]) <= x <= float(row[f"{a}_to"]) for a, x in found.items()):
                return row["name"]
    raise AssertionError(f"no box holds {r, g, b}")


def term(rgb):
    share_T = colours.shares(Image.new("RGB", (1, 1), tuple(round(255 * x) for x in rgb)))
    return colours.names()[share_T.argmax()]


def test_eleven_terms_cover_every_pixel():
    assert sorted(colours.names()) == sorted(
        ["black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown"]
    )
    hue_HW, saturation_HW = np.meshgrid(np.arange(256), np.arange(256))
    for value in range(0, 256, 5):
        plane = np.stack([hue_HW, saturation_HW, np.full_like(hue_HW, value)], 2).astype(np.uint8)
        inside = [
            np.all([(low <= x) & (x <= high) for x, (low, high) in zip(plane.T, bounds, strict=True)], axis=0)
            for _, bounds in colours._boxes()
        ]
        assert np.logical_or.reduce(inside).all(), value


def test_terms_are_those_of_the_table():
    rgb = np.random.default_rng(0).random((3000, 3))
    agree = np.mean([term(x) == plain_term(*(np.round(255 * x) / 255)) for x in rgb])
    assert agree > 0.97  # Pillow's hue is of 8 bits: pixels at the border of a box may differ


def test_terms_are_those_that_people_use():
    """Names of the xkcd survey that end in their only basic term: "dark green", "dusty pink", …"""
    people, table = [], []
    for name, hex_code in XKCD_COLORS.items():
        words = name.removeprefix("xkcd:").replace("gray", "grey").split()
        if [word for word in words if word in colours.names()] == words[-1:]:
            people.append(words[-1])
            table.append(term(to_rgb(hex_code)))
    agree = np.mean([a == b for a, b in zip(people, table, strict=True)])
    assert len(people) > 450 and agree > 0.85
    for name in colours.names():
        assert term(to_rgb(f"xkcd:{name}")) == name


def test_shares_count_pixels():
    pixels = np.zeros((10, 10, 3), np.uint8)
    pixels[:3], pixels[3, :5] = (255, 0, 0), (0, 0, 255)
    share = dict(zip(colours.names(), colours.shares(Image.fromarray(pixels)).tolist(), strict=True))
    assert share.pop("red") == 0.3 and share.pop("blue") == 0.05 and share.pop("black") == 0.65
    assert set(share.values()) == {0.0}


def half(colour, share):
    pixels = np.full((10, 10, 3), 255, np.uint8)
    pixels.reshape(-1, 3)[: round(100 * share)] = colour
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def concepts(tmp_path):
    for key, data in {
        "red/0.png": half((255, 0, 0), 0.1),
        "red/1.png": half((255, 0, 0), 0.09),
        "sky/2.png": b"no picture",
        "sky/3.png": half((0, 0, 255), 0.95),
    }.items():
        (tmp_path / key).parent.mkdir(exist_ok=True)
        (tmp_path / key).write_bytes(data)
    return concept_folders.load(tmp_path)


def test_a_colour_is_present_from_its_share_on(concepts):
    coloured = colours.with_colours(concepts)
    assert coloured.names[:2] == ["red (concept)", "sky"] and coloured.categories[2:] == ["color"] * 11
    assert coloured.images.keys == ["red/0.png", "red/1.png", "sky/3.png"] and len(coloured.images) == 3
    [failure] = coloured.failures
    assert failure["key"] == "sky/2.png" and "does not decode" in failure["reason"]
    found = [{n for n, p in zip(coloured.names, row, strict=True) if p} for row in coloured.present_NT]
    assert found == [{"red (concept)", "white", "red (color)"}, {"red (concept)", "white"}, {"sky", "blue"}]
    assert coloured.known_NT is None
    assert coloured.images[2].getpixel((0, 0)) == (0, 0, 255)
    assert coloured.images.identity["count"] == "3" and coloured.images.identity != concepts.images.identity


def test_colours_are_known_everywhere(concepts):
    from dataclasses import replace

    known = colours.with_colours(replace(concepts, known_NT=concepts.present_NT)).known_NT
    assert torch.equal(known[:, :2], concepts.present_NT[[0, 1, 3]]) and known[:, 2:].all()


def test_colours_are_added_once(concepts):
    with pytest.raises(ValueError, match="expected concepts without colours, found some already"):
        colours.with_colours(colours.with_colours(concepts))
