"""Bad and unusual pictures: each is made here, and read as open_clip's own loader reads it, or refused."""

import io
import struct
import subprocess
import sys
import tarfile
import zlib

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image, ImageFile

from featurelens import files, imagesets


def noise(mode="RGB", size=(37, 29), seed=0):
    bands = len(Image.new(mode, (1, 1)).getbands())
    shape = (size[1], size[0]) + (() if bands == 1 else (bands,))
    x = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return Image.frombytes(mode, size, x.tobytes())


def encoded(image, format, **options):
    data = io.BytesIO()
    image.save(data, format, **options)
    return data.getvalue()


def palette(size=(37, 29)):
    image = noise("L", size).point(lambda v: v % 16)
    image.putpalette(np.random.default_rng(1).integers(0, 256, 768, dtype=np.uint8).tobytes())
    return image


def as_palette():
    image = Image.frombytes("P", (37, 29), palette().tobytes())
    image.putpalette(palette().getpalette())
    return image


def frames():
    return [noise(seed=i) for i in range(3)]


def rotated():
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(noise(), "JPEG", exif=exif)


def png(width, height, depth=1, colour=0):
    """A picture that says it is huge, with a few bytes of data."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


GOOD = {
    "baseline.jpg": lambda: encoded(noise(), "JPEG"),
    "progressive.jpg": lambda: encoded(noise(), "JPEG", progressive=True),
    "gray.jpg": lambda: encoded(noise("L"), "JPEG"),
    "cmyk.jpg": lambda: encoded(noise("CMYK"), "JPEG"),
    "rotated.jpg": rotated,
    "rgba.png": lambda: encoded(noise("RGBA"), "PNG"),
    "la.png": lambda: encoded(noise("LA"), "PNG"),
    "one-bit.png": lambda: encoded(noise("L").convert("1"), "PNG"),
    "palette.png": lambda: encoded(as_palette(), "PNG"),
    "palette-transparent.png": lambda: encoded(as_palette(), "PNG", transparency=3),
    "palette-translucent.png": lambda: encoded(as_palette(), "PNG", transparency=bytes(range(16))),
    "animated.gif": lambda: encoded(frames()[0], "GIF", save_all=True, append_images=frames()[1:]),
    "animated.png": lambda: encoded(frames()[0], "PNG", save_all=True, append_images=frames()[1:]),
    "animated.webp": lambda: encoded(
        frames()[0], "WEBP", save_all=True, append_images=frames()[1:], lossless=True
    ),
    "lossless.webp": lambda: encoded(noise(), "WEBP", lossless=True),
    "picture.tif": lambda: encoded(noise(), "TIFF"),
    "picture.bmp": lambda: encoded(noise(), "BMP"),
    "png-called.jpg": lambda: encoded(noise(), "PNG"),
}


def gray(dtype, values):
    return Image.fromarray(np.full((8, 8), values, dtype))


BAD = {
    "empty.jpg": (lambda: b"", "cannot identify image file"),
    "text.jpg": (lambda: b"this is no picture\n" * 20, "cannot identify image file"),
    "half.jpg": (lambda: encoded(noise(), "JPEG")[:700], "truncated"),
    "half-progressive.jpg": (lambda: encoded(noise(), "JPEG", progressive=True)[:700], "truncated"),
    "half.png": (lambda: encoded(noise(), "PNG")[:700], "truncated|broken"),
    "half.gif": (lambda: encoded(noise("L"), "GIF")[:900], "truncated"),
    "half.webp": (lambda: encoded(noise(), "WEBP", lossless=True)[:700], "[a-z]"),
    "half.tif": (lambda: encoded(noise(), "TIFF")[:700], "[a-z]"),
    "half.bmp": (lambda: encoded(noise(), "BMP")[:700], "truncated"),
    "16-bit.png": (lambda: encoded(gray(np.uint16, 40000), "PNG"), "8 bits a channel, found mode I;16$"),
    "16-bit.tif": (lambda: encoded(gray(np.uint16, 40000), "TIFF"), "8 bits a channel, found mode I;16$"),
    "32-bit.tif": (lambda: encoded(gray(np.int32, 70000), "TIFF"), "8 bits a channel, found mode I$"),
    "float.tif": (lambda: encoded(gray(np.float32, 0.5), "TIFF"), "8 bits a channel, found mode F$"),
    "large.png": (lambda: png(10_000, 10_000), "at most 89,478,485 pixels, found 10,000 x 10,000"),
    "huge.png": (lambda: png(60_000, 60_000), "decompression bomb"),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_open_clip_reads_right_has_the_same_pixels(tmp_path, name):
    (tmp_path / name).write_bytes(GOOD[name]())
    found = imagesets.load(tmp_path)[0]
    with Image.open(tmp_path / name) as image:
        expected = image.convert("RGB")
    assert found.mode == "RGB" and found.size == expected.size == (37, 29)
    assert np.array_equal(found, expected) and np.array(found).std() > 20
    transform = open_clip.image_transform(16, is_train=False)
    assert torch.equal(transform(found), transform(expected))


def test_the_picture_before_conversion_decides_only_where_open_clip_converts_late():
    """open_clip converts after it resized: for pictures of 8 bits without a palette, that is the same."""
    transform = open_clip.image_transform(16, is_train=False)
    for name in ("gray.jpg", "rotated.jpg", "picture.bmp"):
        with Image.open(io.BytesIO(GOOD[name]())) as image:
            assert torch.equal(transform(image), transform(image.convert("RGB")))


def test_the_first_frame_is_the_picture(tmp_path):
    for name in ("animated.png", "animated.webp"):
        (tmp_path / name).write_bytes(GOOD[name]())
    assert all(np.array_equal(image, frames()[0]) for image in imagesets.load(tmp_path))


@pytest.mark.parametrize("name", BAD)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_would_be_wrong_is_refused_with_the_reason(tmp_path, name):
    make, reason = BAD[name]
    (tmp_path / name).write_bytes(make())
    (tmp_path / "good.png").write_bytes(GOOD["rgba.png"]())
    images = imagesets.load(tmp_path)
    with pytest.raises(
        files.ImageError, match=rf"^{name} \(\d+ bytes\) does not decode: .*({reason})"
    ) as info:
        images[images.keys.index(name)]
    assert "\n" not in str(info.value) and "<" not in str(info.value)
    assert images[images.keys.index("good.png")].mode == "RGB"


def test_sixteen_bits_would_be_white():
    """Why they are refused."""
    with Image.open(io.BytesIO(BAD["16-bit.png"][0]())) as image:
        assert np.array(image.convert("RGB")).min() == 255


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 100}])
def test_a_jpeg_cut_anywhere_is_refused_or_whole(tmp_path, options):
    whole = encoded(noise(), "JPEG", **options)
    (tmp_path / "whole.jpg").write_bytes(whole)
    for cut in range(1, len(whole), 41):
        (tmp_path / f"{cut:05d}.jpg").write_bytes(whole[:-cut])
    images, refused = imagesets.load(tmp_path), 0
    for i in range(len(images)):
        try:
            assert np.array_equal(images[i], images[len(images) - 1])
        except files.ImageError:
            refused += 1
    assert refused > 0.9 * (len(images) - 1)


def test_made_up_pixels_are_refused_whole_or_not(tmp_path, monkeypatch):
    (tmp_path / "half.jpg").write_bytes(BAD["half.jpg"][0]())
    images = imagesets.load(tmp_path)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    Image.open(tmp_path / "half.jpg").convert("RGB")  # half grey, and nobody is told
    with pytest.raises(RuntimeError, match=r"expected PIL.ImageFile.LOAD_TRUNCATED_IMAGES to be False"):
        images[0]


def test_large_pictures_print_nothing(tmp_path):
    for name in ("large.png", "huge.png"):
        (tmp_path / name).write_bytes(BAD[name][0]())
    code = (
        "import sys; from featurelens import files, imagesets\n"
        "for i in (0, 1):\n"
        "    try: imagesets.load(sys.argv[1])[i]\n"
        "    except files.ImageError: pass\n"
        "    else: sys.exit('no error')\n"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_whoever_lifts_pillows_limit_may(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(encoded(noise(), "PNG"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 37 * 29 - 1)
    with pytest.raises(files.ImageError, match="expected at most 1,072 pixels, found 37 x 29"):
        imagesets.load(tmp_path)[0]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert imagesets.load(tmp_path)[0].size == (37, 29)


def test_compressed_and_cut_tars_are_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(noise(), "PNG"))
    for mode, name in (("w:gz", "packed.tar"), ("w", "whole.tar")):
        with tarfile.open(tmp_path / name, mode) as archive:
            for key in ("a.png", "b.png"):
                archive.add(tmp_path / "a.png", key)
    with pytest.raises(ValueError, match=r"^packed.tar: expected an uncompressed .tar, found: [^\n]+$"):
        imagesets.load(tmp_path / "packed.tar")
    assert len(imagesets.load(tmp_path / "whole.tar")) == 2
    size = (tmp_path / "a.png").stat().st_size
    (tmp_path / "cut.tar").write_bytes((tmp_path / "whole.tar").read_bytes()[: 2 * 512 + 2 * size])
    with pytest.raises(ValueError, match=r"^cut.tar: expected an uncompressed .tar, found: [^\n]+$"):
        imagesets.load(tmp_path / "cut.tar")
