import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from featurelens import preprocess


def clip_like(size=64, mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711)):
    resize = transforms.Resize(size, InterpolationMode.BICUBIC)
    crop = transforms.CenterCrop(size)
    return transforms.Compose([resize, crop, transforms.ToTensor(), transforms.Normalize(mean, std)])


def test_two_steps_equal_the_transform_bit_for_bit():
    transform = clip_like()
    ours, image = preprocess.from_transform(transform), preprocess.probe_image()
    assert torch.equal(ours(image), transform(image))
    assert ours.pixels(image).dtype == torch.uint8


def test_geometry_is_shared_across_normalisations_and_not_across_sizes():
    a, b, c = map(preprocess.from_transform, (clip_like(), clip_like(mean=(0.5, 0.5, 0.5)), clip_like(48)))
    assert a.shared_as == b.shared_as != c.shared_as
    assert len({str(a), str(b), str(c)}) == 3
    assert "0.48145466" in str(a) and "0x" not in str(a)


def test_an_opaque_callable_stays_whole_and_is_told_apart_by_its_result():
    def scaled(by):
        return lambda image: by * transforms.functional.to_tensor(image)

    one, same, two = map(preprocess.from_transform, (scaled(1), scaled(1), scaled(2)))
    image = preprocess.probe_image()
    assert one.mean is None and torch.equal(two(image), 2 * one(image))
    assert str(one) == str(same) != str(two)


def test_other_modes_become_rgb_before_the_resize():
    grey = preprocess.probe_image().convert("L")
    steps = preprocess.square(32)
    assert torch.equal(steps(grey), steps(grey.convert("RGB")))
    assert steps(Image.new("P", (40, 50))).shape == (3, 32, 32)


@pytest.mark.parametrize("result", [None, torch.zeros(32, 32), torch.zeros(3, 8, 8, dtype=torch.uint8)])
def test_a_transform_that_gives_no_picture_tensor_is_refused(result):
    class Fixed:
        def __repr__(self):
            return "Fixed()"

        def __call__(self, image):
            return result

    with pytest.raises(TypeError, match=r"expected a float tensor \(3 x H x W\) for one picture, found"):
        preprocess.from_transform(Fixed())(preprocess.probe_image())


def test_not_callable():
    with pytest.raises(TypeError, match="expected a callable, found int"):
        preprocess.from_transform(224)


def test_square_is_the_miniatures_range():
    x = preprocess.square(4)(Image.fromarray(np.full((4, 4, 3), 255, "uint8")))
    assert torch.equal(x, torch.ones(3, 4, 4))


def test_another_normalisation_than_expected_is_refused():
    ours, mean, std = preprocess.from_transform(clip_like(mean=(0.5, 0.5, 0.5))), (0.5,) * 3, (0.5,) * 3
    ours.expect("net", [0.5, 0.5, 0.5], (0.26862954, 0.26130258, 0.27577711))
    for other in ((mean, std), ((0.48145466, 0.4578275, 0.40821073), ours.std)):
        with pytest.raises(ValueError, match=r"net: expected pictures with mean .* found mean") as error:
            ours.expect("net", *other)
        assert "\n" not in str(error.value)
    preprocess.from_transform(transforms.ToTensor()).expect("net", mean, std)  # a whole is not looked into


def test_probe_images_are_fixed_and_differ():
    pictures = [np.asarray(image) for image in preprocess.probe_images()]
    assert all(x.shape == (240, 320, 3) and x.std() > 10 for x in pictures)
    assert len({x.tobytes() for x in pictures}) == len(pictures) >= 3
    assert all(np.array_equal(x, y) for x, y in zip(pictures, preprocess.probe_images(), strict=True))
