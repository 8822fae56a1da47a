import numpy as np
import pytest
import torch
from scipy import stats

from featurelens.checks import UnknownNameError
from featurelens.miniature import draws, masks, render, shapes, surfaces, world

WEB = world.sample("web", torch.arange(240))


def test_draws_are_uniform_and_independent_of_the_batch():
    u_NS = draws.uniform(3, torch.arange(2000), 8)
    assert stats.kstest(u_NS.flatten().numpy(), "uniform").pvalue > 0.01
    assert np.abs(np.corrcoef(u_NS.T.numpy()) - np.eye(8)).max() < 0.1
    torch.testing.assert_close(draws.uniform(3, torch.tensor([1777]), 8)[0], u_NS[1777], rtol=0, atol=0)
    torch.testing.assert_close(draws.uniform(3, torch.arange(9), 4, first=4), u_NS[:9, 4:], rtol=0, atol=0)
    assert not torch.equal(draws.uniform(4, torch.arange(9), 8), u_NS[:9])


def test_pixel_noise_is_standard():
    noise_NHW = draws.pixel_noise(1, torch.arange(40), 32, 32)
    assert abs(noise_NHW.mean()) < 0.02
    assert abs(noise_NHW.std() - 1) < 0.02
    # Neighbouring pixels and neighbouring pictures share nothing.
    assert abs((noise_NHW[:, :, 1:] * noise_NHW[:, :, :-1]).mean()) < 0.02
    assert abs((noise_NHW[1:] * noise_NHW[:-1]).mean()) < 0.02


@pytest.mark.parametrize("size", [(32, 32), (33, 29)])
def test_a_picture_is_the_same_in_any_batch(size):
    whole = render.render("web", torch.arange(200), *size)
    for start, stop in ((0, 1), (1, 3), (3, 100), (100, 200)):
        part = render.render("web", torch.arange(start, stop), *size)
        assert torch.equal(part, whole[start:stop]), (start, stop)
    backwards = render.render("web", torch.arange(199, -1, -1), *size)
    assert torch.equal(backwards.flip(0), whole)


def test_pictures_show_what_was_drawn():
    """Seen from far enough away, the pixels inside the object have its colour on average."""
    pictures = world.sample("base-val", torch.arange(600))
    plain = (pictures.texture == 0) & (pictures.material == 0)
    pictures = pictures[plain.nonzero().flatten()]
    image_NHWC = render.render_pictures(pictures, 64, 64).float() / 255
    inside = shapes.draw(pictures, 64, 64).slot_NHW >= 0
    paint = shapes.draw(pictures, 64, 64).second_NHW < 0.5
    seen = torch.stack([x[m].median(0).values for x, m in zip(image_NHWC, inside & paint, strict=True)])
    nearest = torch.cdist(seen, render.palette()).argmin(1)
    assert (nearest == pictures.colour).float().mean() > 0.6


def test_classes_are_balanced_and_habits_hold():
    pictures = world.sample("base-train", torch.arange(12_000))
    assert torch.bincount(pictures.object).tolist() == [1000] * 12
    usual = world.table("habits").set_index("object").scene
    boats = pictures.scene[pictures.object == world.names("object").index("boat")]
    share = (boats == world.names("scene").index(usual["boat"])).float().mean().item()
    habit = world.set_row("base-train").habit
    assert abs(share - (habit + (1 - habit) / 8)) < 0.04
    free = world.sample("objectnet", torch.arange(12_000))
    boats = free.scene[free.object == world.names("object").index("boat")]
    assert abs((boats == world.names("scene").index("sea")).float().mean().item() - 1 / 8) < 0.04


def test_colours_of_an_object_differ_and_styles_are_those_of_the_set():
    assert (WEB.colour != WEB.colour2).all()
    assert set(WEB.style.tolist()) == set(range(len(world.names("style"))))
    assert set(world.sample("sketch", torch.arange(50)).style.tolist()) == {
        world.names("style").index("sketch")
    }


def test_every_name_in_the_tables_is_drawn_by_code():
    assert set(surfaces.TEXTURES) == set(world.names("texture"))
    assert set(surfaces.MATERIALS) == set(world.names("material"))
    assert set(surfaces.SCENES) == set(world.table("scenes").pattern)
    assert tuple(world.table("scenes").name) == world.names("scene")
    assert tuple(world.table("styles").name) == world.names("style")
    assert tuple(world.table("colours").name) == world.names("colour")
    assert set(world.table("parts").object) == set(world.names("object"))


def test_masks_cover_six_categories_and_agree_with_the_attributes():
    found = masks.masks(WEB)
    assert set(found.categories) == set(masks.CATEGORIES)
    assert len(found.names) == len(found.categories) == found.mask_NTHW.shape[1]
    by_category = {c: torch.tensor([k == c for k in found.categories]) for c in masks.CATEGORIES}
    objects_NT = found.present_NT[:, by_category["object"]]
    assert torch.equal(objects_NT.int().argmax(1), WEB.object)
    assert (objects_NT.sum(1) == 1).all()
    # The parts of an object tile it, and belong to it.
    inside = found.mask_NTHW[:, by_category["object"]].any(1)
    parts = found.mask_NTHW[:, by_category["part"]]
    assert torch.equal(parts.sum(1), inside.long())
    own = world.table("parts").groupby("object").part.agg(set)
    names = [n for n, c in zip(found.names, found.categories, strict=True) if c == "part"]
    for row, picture in enumerate(WEB.object.tolist()):
        shown = {name for name, here in zip(names, parts[row].flatten(1).any(1), strict=True) if here}
        assert shown <= own[world.names("object")[picture]]


def test_a_style_marks_only_what_it_shows():
    found = masks.masks(world.sample("sketch", torch.arange(60)))
    shown = {c for c, here in zip(found.categories, found.present_NT.any(0), strict=True) if here}
    assert shown == {"object", "part"}


def test_colour_masks_agree_with_the_pixels():
    """Colour masks are checked against the rendered pixels, which do not use them."""
    pictures = world.sample("rendition", torch.arange(400))
    pictures = pictures[(pictures.style == world.names("style").index("cartoon")).nonzero().flatten()]
    found, image = masks.masks(pictures, 64, 64), render.render_pictures(pictures, 64, 64).float() / 255
    red = found.names.index("red")
    object_red = found.mask_NTHW[:, red] & (shapes.draw(pictures, 64, 64).ink_NHW == 0)
    object_red &= shapes.draw(pictures, 64, 64).slot_NHW >= 0
    rgb = image[object_red].mean(0)
    assert object_red.sum() > 200
    assert rgb[0] > 0.7 and rgb[1:].max() < 0.35


@pytest.mark.parametrize(("call", "near"), [
    (lambda: world.sample("base-vall", torch.arange(2)), "base-val"),
    (lambda: world.names("objects"), "object"),
    (lambda: world.table("part"), "parts"),
])  # fmt: skip
def test_unknown_names_suggest_the_nearest(call, near):
    with pytest.raises(UnknownNameError, match=f"did you mean {near}"):
        call()
