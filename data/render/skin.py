"""Surfaces: colour, roughness and relief of one piece, on a cube-shaped atlas.

The atlas has six tiles, one for each direction from which a surface can be seen best. A surface
point belongs to the tile its normal points to, at the position (a, b) in mm of its projection.
Painting a surface (wear, a printed mark, a scratch) is drawing into a tile.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

TEXELS = 384  # along the edge of a tile, for a large piece
# direction: (right, up, outwards); seen from outside, a runs to the right and b upwards
AXES = {
    "+z": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "-z": ((-1, 0, 0), (0, 1, 0), (0, 0, -1)),
    "+x": ((0, 1, 0), (0, 0, 1), (1, 0, 0)),
    "-x": ((0, -1, 0), (0, 0, 1), (-1, 0, 0)),
    "+y": ((-1, 0, 0), (0, 0, 1), (0, 1, 0)),
    "-y": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
}
DIRECTIONS = list(AXES)


@dataclass
class Skin:
    """Surface of one piece; T is the number of texels along the edge of a tile.

    colour (2T, 3T, 3) linear RGB; roughness (2T, 3T) in 0..1; relief (2T, 3T) in mm; span: mm that
    a tile covers; centre: point in the middle of all tiles; metallic, clearcoat, specular: 0..1.
    """

    colour: np.ndarray
    roughness: np.ndarray
    relief: np.ndarray
    span: float
    centre: np.ndarray
    metallic: float = 0.0
    clearcoat: float = 0.0
    specular: float = 0.5

    def copy(self):
        return Skin(
            self.colour.copy(), self.roughness.copy(), self.relief.copy(),
            self.span, self.centre, self.metallic, self.clearcoat, self.specular,
        )  # fmt: skip

    @property
    def texels(self):
        return len(self.relief) // 2

    def tile(self, direction):
        """Slices of the atlas that hold a direction's tile (rows run from b = +span/2 down)."""
        row, column = divmod(DIRECTIONS.index(direction), 3)
        size = self.texels
        return slice(row * size, (row + 1) * size), slice(column * size, (column + 1) * size)

    def grid(self):
        """Positions a, b (T, T) in mm of the texels of a tile."""
        line = ((np.arange(self.texels) + 0.5) / self.texels - 0.5) * self.span
        return np.meshgrid(line, -line)

    def blend(self, direction, weight, colour=None, roughness=None, relief=None):
        """Lay something over a tile: weight (T, T) in 0..1; relief is added, the rest mixed in."""
        where = self.tile(direction)
        if colour is not None:
            old = self.colour[where]
            self.colour[where] = old + weight[..., None] * (np.asarray(colour) - old)
        if roughness is not None:
            self.roughness[where] += weight * (roughness - self.roughness[where])
        if relief is not None:
            self.relief[where] += weight * relief

    def slope(self):
        """Slope of the relief (2, 2T, 3T), mm per mm."""
        return np.stack(np.gradient(self.relief, self.span / self.texels))


def plain(colour, roughness, span, centre, metallic=0.0, clearcoat=0.0, texels=TEXELS):
    """An even skin: one colour, one roughness, no relief."""
    size = (2 * texels, 3 * texels)
    return Skin(
        np.ones((*size, 3)) * np.asarray(colour, float),
        np.full(size, float(roughness)),
        np.zeros(size),
        float(span),
        np.asarray(centre, float),
        metallic,
        clearcoat,
    )


def noise(rng, shape, blur):
    """Smooth noise, mean 0, standard deviation 1; ``blur`` in texels, or (rows, columns)."""
    field = gaussian_filter(rng.normal(size=shape).astype(np.float32), blur, mode="wrap")
    return (field - field.mean()) / field.std()


def atlas_positions(points, normals, skin):
    """Atlas coordinates (T, 3, 2) in 0..1 of triangle corners ``points`` (T, 3, 3).

    ``normals`` (T, 3) are the face normals; they choose the tile.
    """
    outward = np.array([AXES[d][2] for d in DIRECTIONS], float)
    choice = (normals @ outward.T).argmax(1)
    right = np.array([AXES[d][0] for d in DIRECTIONS], float)[choice]
    up = np.array([AXES[d][1] for d in DIRECTIONS], float)[choice]
    local = points - skin.centre
    a = (local * right[:, None]).sum(-1) / skin.span + 0.5
    b = (local * up[:, None]).sum(-1) / skin.span + 0.5
    row, column = np.divmod(choice, 3)
    edge = 1.0 / skin.texels
    a, b = np.clip(a, edge, 1 - edge), np.clip(b, edge, 1 - edge)
    return np.stack([(column[:, None] + a) / 3, (row[:, None] + 1 - b) / 2], -1)


def strokes(skin, lines):
    """Weight (T, T) of lines [(points [(a, b), ...] in mm, width in mm, strength 0..1), ...]."""
    size = skin.texels
    fine = 4  # drawn four times as fine, then averaged
    image = Image.new("L", (fine * size, fine * size))
    draw = ImageDraw.Draw(image)
    scale = fine * size / skin.span
    for points, width, strength in sorted(lines, key=lambda line: line[2]):
        corners = [(scale * (a + skin.span / 2), scale * (skin.span / 2 - b)) for a, b in points]
        draw.line(corners, int(255 * strength), max(round(scale * width), 1), "curve")
    weight = np.asarray(image, np.float32) / 255
    return weight.reshape(size, fine, size, fine).mean((1, 3))


def blot(skin, a0, b0, radius, rng, ragged=0.35, aspect=1.0, turn=0.0):
    """Weight (T, T) of a stain of ``radius`` mm with an uneven rim around (a0, b0)."""
    a, b = skin.grid()
    u = (a - a0) * np.cos(turn) + (b - b0) * np.sin(turn)
    v = (b - b0) * np.cos(turn) - (a - a0) * np.sin(turn)
    texel = skin.span / skin.texels
    uneven = noise(rng, a.shape, max(radius * 0.35 / texel, 1.0))
    level = 1 - np.hypot(u / aspect, v) / radius + ragged * 0.5 * uneven
    return np.clip(level / max(0.25, 2 * texel / radius), 0, 1)


def lettering(skin, text, a0, b0, height, turn=0.0):
    """Weight (T, T) of a printed or moulded text, ``height`` mm tall, centred on (a0, b0)."""
    texel = skin.span / skin.texels
    font = ImageFont.load_default(height / texel * 1.35)
    image = Image.new("L", (skin.texels, skin.texels))
    at = (skin.texels / 2 + a0 / texel, skin.texels / 2 - b0 / texel)
    ImageDraw.Draw(image).text(at, text, 255, font=font, anchor="mm")
    if turn:
        image = image.rotate(np.degrees(turn), Image.BICUBIC, center=at)
    return np.asarray(image, float) / 255
