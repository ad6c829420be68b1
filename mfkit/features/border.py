"""Where the object is in a picture taken on a plain ground: a model of the border's colour.

It needs no network and no weights. Where it fails: an object of the ground's own colour, a ground
with a pattern, an object that covers most of the border.
"""

import numpy as np
from scipy import ndimage

__all__ = ["MARGIN", "dilate", "object_mask"]

SCALE = 256  # px: edge of the picture for which the numbers below are given
MARGIN = 2.0  # px: the paper's 8 px of 1024
RING = 10.0  # px: width of the border that is taken for ground
GAP = 8  # px: dark gaps up to twice as wide are closed
SPECK = 0.02  # of the largest part; smaller ones are dust
DIFFERS = 6.0  # CIE Lab units by which the object differs from the ground
BRIGHTER, DARKER = 1.5, 0.25  # weights of lightness: above the ground's, and in a shadow below it
NOISE = 4.0  # times the ground's own noise, if that is more than DIFFERS
# linear sRGB -> CIE XYZ of the white point D65, each row divided by the white's value
_XYZ = np.array(
    [
        [0.4339499, 0.3762098, 0.1898403],
        [0.2126729, 0.7151521, 0.0721750],
        [0.0177566, 0.1094680, 0.8727755],
    ]
)


def object_mask(image: np.ndarray, margin: float = MARGIN) -> np.ndarray:
    """Find the object: what differs in colour from the ground that the border shows.

    In CIE Lab a smooth surface (second order in x and y) is fitted to each channel of the border,
    without pixels that do not belong to it, and continued inwards. A pixel shows the object if its
    colour is further from that surface than `DIFFERS`; less light in the same hue counts little,
    since it may be a shadow. Gaps are closed, holes filled, specks dropped.

    Arguments:
        image: (H, W, 3) uint8, RGB.
        margin: by how much the mask is dilated, in px of a picture of 256 px.

    Returns:
        (H, W) of bool; False throughout if nothing differs.

    Source: holes filled and margin as in the paper's own masks (arXiv 2504.03306).

    Example:
        >>> image = np.full((64, 64, 3), 200, np.uint8)
        >>> image[20:40, 20:40] = 30
        >>> mask = object_mask(image)
        >>> bool(mask[30, 30]), bool(mask[10, 10])
        (True, False)
    """
    unit = max(image.shape[:2]) / SCALE
    apart, noise = _distance(_lab(image), max(2, round(RING * unit)))
    mask = ndimage.binary_opening(apart > max(DIFFERS, NOISE * noise))
    frame = round(3 * GAP * unit) + 1  # what is closed may touch the picture's edge
    mask = ~dilate(~dilate(np.pad(mask, frame), GAP * unit), GAP * unit)
    mask = ndimage.binary_fill_holes(mask[frame:-frame, frame:-frame])
    return dilate(_without_specks(mask), margin * unit)


def dilate(mask: np.ndarray, radius: float) -> np.ndarray:
    """Every pixel within `radius` px of the mask (H, W)."""
    if not mask.any() or radius <= 0:
        return mask
    return ndimage.distance_transform_edt(~mask) <= radius


def _lab(image: np.ndarray) -> np.ndarray:
    """sRGB (H, W, 3) of 0 .. 255 to CIE Lab, in which distances are what the eye sees."""
    level = np.arange(256) / 255
    light = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    x, y, z = np.moveaxis(_cube_root(light[image] @ _XYZ.T), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def _cube_root(values: np.ndarray) -> np.ndarray:
    return np.where(values > 216 / 24389, np.cbrt(values), (24389 / 27 * values + 16) / 116)


def _distance(lab: np.ndarray, ring: int) -> tuple[np.ndarray, float]:
    """Distance (H, W) of each pixel from the ground, and the ground's own median distance."""
    height, width = lab.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1)
    border = np.ones((height, width), dtype=bool)
    border[ring:-ring, ring:-ring] = False
    ground = border
    for _ in range(4):  # an object that touches the border drops out step by step
        surface, *_ = np.linalg.lstsq(terms[ground], lab[ground], rcond=None)
        residual = lab - terms @ surface
        apart = np.linalg.norm(residual, axis=-1)
        noise = float(np.median(apart[ground]))
        ground = border & (apart <= 3 * noise + 1e-6)
    residual[..., 0] *= np.where(residual[..., 0] < 0, DARKER, BRIGHTER)
    return np.linalg.norm(residual, axis=-1), noise


def _without_specks(mask: np.ndarray) -> np.ndarray:
    parts, count = ndimage.label(mask)
    if not count:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return (sizes >= SPECK * sizes.max())[parts]
