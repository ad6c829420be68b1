"""Images and masks as arrays."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from mfkit.errors import Fault

__all__ = ["fit_image", "is_grey", "read_image", "read_mask"]

DEEP = re.compile("(?<!BGR);16")  # in the name of a decoder: 16 bits per channel, not per pixel


def read_image(path: str | Path, size: int | None = None, flip: bool = False) -> np.ndarray:
    """Read an image as uint8 (H, W, 3), RGB, turned as its camera noted (EXIF).

    What is transparent is black.

    Arguments:
        path: any 8-bit format that Pillow reads.
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

    Arguments:
        path: the mask.
        size: px; resize to size x size. None keeps the mask's own.
        flip: mirror left-right.
        image: the image it belongs to; if given, the two must have one size on disk.

    Raises:
        InputError: the file is missing or broken, or its size differs from its image's.

    Source: resizing and threshold are those of the official tool, ADEval 1.1.0.
    """
    mask = _decode(path, "L")
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


def _decode(path: str | Path, mode: str) -> Image.Image:
    with _opened(path) as image:
        if image.mode.startswith(("I", "F")) or any(DEEP.search(str(tile)) for tile in image.tile):
            raise Fault(
                f"{path}: holds more than 8 bits per channel; convert it to 8 bits",
                "unreadable file",
            )
        ImageOps.exif_transpose(image, in_place=True)
        if image.has_transparency_data:
            black = Image.new("RGBA", image.size, "black")
            image = Image.alpha_composite(black, image.convert("RGBA"))
        return image.convert(mode)


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    """Open an image; whatever Pillow trips over becomes a Fault."""
    try:
        with Image.open(path) as image:
            yield image
    except Fault:
        raise
    except FileNotFoundError:
        raise Fault(f"{path} does not exist; put the file there", "missing file") from None
    except Image.DecompressionBombError as error:
        raise Fault(
            f"{path}: too large to be read safely ({error}); make it smaller", "unreadable file"
        ) from None
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error ...
        raise Fault(
            f"{path}: cannot be read as an image ({error}); copy it again from the source",
            "unreadable file",
        ) from error
