"""Images and masks as arrays."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from mfkit.data.listing import regular
from mfkit.errors import Fault

__all__ = ["FORMATS", "PIXELS", "SUFFIXES", "fit_image", "is_grey", "read_image", "read_mask"]

FORMATS = ("BMP", "JPEG", "PNG", "TIFF")
"""What is read: some of the others start a program or run code of their own (EPS: Ghostscript)."""
SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff"}
"""How their files end, in lower or upper case."""
PIXELS = 50_000_000
"""How many an image may have, 7,000 x 7,000 for example: one takes about 10 bytes while read."""
COLOURED = 24  # levels by which the colours of a grey pixel may differ, after JPEG
DEEP = re.compile("(?<!BGR);16")  # in the name of a decoder: 16 bits per channel, not per pixel


def read_image(path: str | Path, size: int | None = None, flip: bool = False) -> np.ndarray:
    """Read an image as uint8 (H, W, 3), RGB, turned as its camera noted (EXIF).

    What is transparent is black.

    Arguments:
        path: a file of one of `FORMATS` with 8 bits per channel and up to `PIXELS` pixels.
        size: px; resize (bilinear, antialiased) to size x size. None keeps the image's own.
        flip: mirror left-right.

    Raises:
        InputError: the file is missing, broken or does not hold 8 bits per channel.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "red.png"
        >>> Image.new("RGB", (4, 4), "red").save(path)
        >>> read_image(path, size=2).tolist()
        [[[255, 0, 0], [255, 0, 0]], [[255, 0, 0], [255, 0, 0]]]
    """
    return _pixels(_decode(path, "RGB"), size, flip, Image.Resampling.BILINEAR)


def read_mask(
    path: str | Path, size: int | None = None, flip: bool = False, image: str | Path | None = None
) -> np.ndarray:
    """Read a defect's mask as bool (H, W): grey above 127, after resizing to the nearest pixel.

    A mask that could mean something else is refused: one in colours (a palette of labels), and one
    that mostly marks with a grey below 128 (1 in place of 255, or labels 1, 2, 3). A mask that is
    black throughout marks nothing.

    Arguments:
        path: the mask.
        size: px; resize to size x size. None keeps the mask's own.
        flip: mirror left-right.
        image: the image it belongs to; if given, the two must have one size on disk.

    Raises:
        InputError: the file is missing or broken, its size differs from its image's, or it does
            not say without doubt what it marks.

    Source: resizing and threshold are those of the official tool, ADEval 1.1.0.
    """
    mask = _grey(path)
    if image is not None:
        with _opened(image) as picture:
            turned = picture.getexif().get(ExifTags.Base.Orientation, 1) > 4
            expected = picture.size[::-1] if turned else picture.size
        if mask.size != expected:
            raise Fault(
                f"{path}: the mask has {mask.width} x {mask.height} px but its image {image} has "
                f"{expected[0]} x {expected[1]}; take both from one resolution",
                "mask size",
            )
    return _pixels(mask, size, flip, Image.Resampling.NEAREST) > 127


def fit_image(pixels: np.ndarray, size: int | None = None, flip: bool = False) -> np.ndarray:
    """What `read_image` makes of a picture that is in memory already.

    Arguments:
        pixels: (h, w, 3) uint8, RGB.
        size, flip: see `read_image`.

    Returns:
        (H, W, 3) uint8.
    """
    return _pixels(Image.fromarray(pixels), size, flip, Image.Resampling.BILINEAR)


def is_grey(pixels: np.ndarray) -> bool:
    """Whether a picture (H, W, 3) uint8 has no colour: its channels differ by two steps at most.

    Two, because a JPEG of grey pixels rounds each channel by itself.

    Example:
        >>> is_grey(np.full((4, 4, 3), 90, np.uint8))
        True
    """
    channels = pixels.astype(np.int16)
    return int((channels.max(2) - channels.min(2)).max(initial=0)) <= 2


def _pixels(image: Image.Image, size: int | None, flip: bool, how: int) -> np.ndarray:
    if size is not None and image.size != (size, size):
        image = image.resize((size, size), how)
    pixels = np.array(image)
    return np.ascontiguousarray(pixels[:, ::-1]) if flip else pixels


def _grey(path: str | Path) -> Image.Image:
    """A mask whose grey values can be compared with 127, or a Fault."""
    with _opened(path) as image:
        lossy = image.format in ("JPEG", "MPO")  # leaves shadows of a few levels
        mask = _upright(image, path)
        if mask.mode not in ("1", "L"):
            pixels = np.asarray(mask.convert("RGB"))
            coloured = int((np.ptp(pixels, axis=2) > COLOURED).sum())
            if coloured:
                raise Fault(
                    f"{path}: the mask is in colours ({coloured} pixels), so what it marks would "
                    "be guessed; save it in grey, white (255) on black",
                    "mask in colours",
                )
        mask = mask.convert("L")
    counts = np.array(mask.histogram())
    bright, dim = int(counts[128:].sum()), int(counts[1:128].max())
    if dim > bright and not (lossy and bright):
        value = 1 + int(counts[1:128].argmax())
        raise Fault(
            f"{path}: marks {dim} pixels with {value}, and {bright or 'no'} pixel above 127 would "
            "count; paint what it marks with 255 and all else with 0",
            "dim mask" if bright else "empty mask",
        )
    return mask


def _decode(path: str | Path, mode: str) -> Image.Image:
    with _opened(path) as image:
        return _upright(image, path).convert(mode)


def _upright(image: Image.Image, path: str | Path) -> Image.Image:
    """An open image as it should be seen, if it is one that is read."""
    if image.width * image.height > PIXELS:
        raise Fault(
            f"{path}: {image.width:,} x {image.height:,} px, at most {PIXELS:,} pixels are read; "
            "make it smaller",
            "too large",
        )
    if image.mode.startswith(("I", "F")) or any(DEEP.search(str(tile)) for tile in image.tile):
        raise Fault(
            f"{path}: holds more than 8 bits per channel; convert it to 8 bits",
            "unreadable file",
        )
    ImageOps.exif_transpose(image, in_place=True)
    if not image.has_transparency_data:
        return image
    black = Image.new("RGBA", image.size, "black")
    return Image.alpha_composite(black, image.convert("RGBA"))


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    """Open an image; whatever Pillow trips over becomes a Fault."""
    try:
        regular(path)
        with Image.open(path, formats=FORMATS) as image:
            yield image
    except Fault:
        raise
    except PermissionError:
        raise Fault(f"{path} is closed to you; let yourself in (chmod)", "closed file") from None
    except UnidentifiedImageError:
        raise Fault(
            f"{path}: {_guessed(path)}; {', '.join(FORMATS)} are read: convert it, or copy it "
            "again from the source",
            "unreadable file",
        ) from None
    except Image.DecompressionBombError as error:
        raise Fault(
            f"{path}: too large to be read safely ({error}); make it smaller", "too large"
        ) from None
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error ...
        raise Fault(
            f"{path}: cannot be read as an image ({error}); copy it again from the source",
            "unreadable file",
        ) from error


def _guessed(path: str | Path) -> str:
    """What a file seems to be, by its first letters: nothing of it is decoded."""
    with open(path, "rb") as file:
        start = file.read(64).ljust(64, b"\0")
    Image.init()
    for name, (_, accepts) in sorted(Image.OPEN.items()):
        if accepts is not None and accepts(start) is True:
            return f"is an image of the format {name}"
    return "cannot be read as an image"
