"""The eight defects of Real-IAD as operations on the geometry or the surface of a part.

Every operation takes the pieces of a sound part, the category (its SITES and LOOSE pieces) and a
``Grade`` that draws sizes, and returns the pieces of the defective part. Sizes are log-uniform, so
that small and faint defects are as frequent as large and plain ones.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from manifold3d import Manifold, OpType
from scene import Piece
from skin import AXES, blot, plain, strokes
from solid import stone, surface_point

OPERATIONS = {}


class Grade:
    """Draws sizes (mm) and contrasts (0..1) and remembers where in their ranges they lay.

    ``coarse`` above 1 makes a category's defects plainer: it multiplies sizes, and draws less often
    from the lower ends. What drowns in the reflections of a glossy knob or in the grain of a
    casting shows on a dull block.
    """

    def __init__(self, rng, coarse=1.0):
        self.rng, self.coarse, self.size, self.contrast, self.levels = rng, coarse, 0.0, 1.0, []

    def draw(self, low, high):
        level = self.rng.random() ** (1 / self.coarse)
        self.levels.append(level)
        return low * (high / low) ** level

    def size_mm(self, low, high):
        self.size = self.coarse * self.draw(low, high)
        return self.size

    def contrast_of(self, low, high):
        self.contrast = self.draw(low, high)
        return self.contrast

    @property
    def severity(self):
        """Mean position 0..1 of the draws within their ranges."""
        return float(np.mean(self.levels))


def operation(code):
    def register(function):
        OPERATIONS[code] = function
        return function

    return register


def swap(pieces, new):
    """The pieces with the one of the same name replaced."""
    return [new if piece.name == new.name else piece for piece in pieces]


def named(pieces, name):
    return next(piece for piece in pieces if piece.name == name)


def pick_site(pieces, category, rng):
    """A piece, an atlas direction, a position (a, b) mm and the surface point there (mm)."""
    weights = np.array([site[4] for site in category.SITES])
    while True:
        name, side, span_a, span_b, _ = category.SITES[
            rng.choice(len(weights), p=weights / weights.sum())
        ]
        piece = named(pieces, name)
        a, b = rng.uniform(*span_a), rng.uniform(*span_b)
        point = surface_point(piece.solid, side, a, b, piece.skin.centre)
        if point is not None:
            return piece, side, a, b, point


def mark(piece, side, weight, colour=None, roughness=None, relief=None):
    """The piece with something laid over one tile of a copy of its skin."""
    skin = piece.skin.copy()
    skin.blend(side, weight, colour, roughness, relief)
    return replace(piece, skin=skin)


def tone(piece, rng, lighter):
    """A colour (3,) lighter or darker than the piece's own, for worn or soiled places."""
    own = piece.skin.colour.mean((0, 1))
    return 0.3 * own + 0.7 * np.array([0.75, 0.75, 0.72]) if lighter else 0.15 * own


@operation("HS")
def scratch(pieces, category, grade):
    """A groove: slightly bent, lighter and rougher than its surroundings."""
    rng = grade.rng
    piece, side, a, b, _ = pick_site(pieces, category, rng)
    length, strength = grade.size_mm(6.0, 18.0), grade.contrast_of(0.7, 1.0)
    angle, bend = rng.uniform(0, np.pi), rng.normal() * 0.15
    steps = np.linspace(-0.5, 0.5, 7) * length
    along = np.stack([steps, bend * length * (steps / length) ** 2], 1)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    weight = strokes(piece.skin, [(along @ turn + (a, b), rng.uniform(0.6, 1.0), strength)])
    return swap(pieces, mark(piece, side, weight, tone(piece, rng, True), 0.6, -0.08))


@operation("CH")
def abrasion(pieces, category, grade):
    """A rubbed patch: many fine parallel marks that take the gloss away."""
    rng = grade.rng
    piece, side, a, b, _ = pick_site(pieces, category, rng)
    radius, strength = grade.size_mm(1.8, 5.5), grade.contrast_of(0.3, 0.9)
    angle = rng.uniform(0, np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    marks = []
    for _ in range(int(10 + 6 * radius)):
        start = (a, b) + rng.normal(size=2) * radius * 0.45
        end = start + along * radius * rng.uniform(0.5, 1.4) * rng.choice((-1, 1))
        marks.append(([start, end], 0.22, rng.uniform(0.4, 1)))
    haze = 0.35 * blot(piece.skin, a, b, radius, rng)
    weight = strength * np.maximum(strokes(piece.skin, marks), haze)
    return swap(pieces, mark(piece, side, weight, tone(piece, rng, True), 0.8, -0.03))


@operation("ZW")
def contamination(pieces, category, grade):
    """A stain: oil (dark, glossy), grease (dark, dull) or spilt paint (pale)."""
    rng = grade.rng
    piece, side, a, b, _ = pick_site(pieces, category, rng)
    radius, strength = grade.size_mm(0.9, 4.0), grade.contrast_of(0.15, 0.85)
    weight = strength * blot(
        piece.skin, a, b, radius, rng, 0.45, rng.uniform(1, 1.8), rng.uniform(0, np.pi)
    )
    colour, roughness = [
        ((0.030, 0.022, 0.015), 0.12),
        ((0.035, 0.033, 0.030), 0.75),
        ((0.62, 0.60, 0.55), 0.5),
    ][rng.integers(3)]
    return swap(pieces, mark(piece, side, weight, colour, roughness))


@operation("AK")
def pit(pieces, category, grade):
    """A small hole with an uneven rim, as left by a gas bubble."""
    rng = grade.rng
    piece, side, _, _, point = pick_site(pieces, category, rng)
    radius = grade.size_mm(1.35, 2.8)
    depth = grade.contrast_of(0.6, 1.0)
    hollow = stone(radius, rng, 40)
    at = point + np.array(AXES[side][2]) * radius * (1 - 1.4 * depth)
    return swap(pieces, replace(piece, solid=piece.solid - hollow.translate(tuple(at))))


def edge_point(piece, side, a, b, angle, limit=2.0):
    """Follow the surface from (a, b) in direction ``angle`` to where it ends; the point there."""
    step = np.array([np.cos(angle), np.sin(angle)])
    last = surface_point(piece.solid, side, a, b, piece.skin.centre)
    out = np.array(AXES[side][2])
    for distance in np.arange(0.25, piece.skin.span, 0.25):
        here = surface_point(piece.solid, side, *((a, b) + distance * step), piece.skin.centre)
        if here is None or (last - here) @ out > limit:
            return last
        last = here
    return last


@operation("PS")
def damage(pieces, category, grade):
    """A piece broken out of an edge."""
    rng = grade.rng
    piece, side, a, b, _ = pick_site(pieces, category, rng)
    radius = grade.size_mm(0.8, 3.2)
    at = edge_point(piece, side, a, b, rng.uniform(0, 2 * np.pi))
    at = at + rng.normal(size=3) * radius * 0.15
    return swap(pieces, replace(piece, solid=piece.solid - stone(radius, rng).translate(tuple(at))))


@operation("QS")
def missing(pieces, category, grade):
    """A loose piece that is absent, or of which a part has broken off."""
    rng = grade.rng
    piece = named(pieces, str(rng.choice(category.LOOSE)))
    share = grade.draw(0.7, 1.8)
    low, high = np.array(piece.solid.bounding_box()).reshape(2, 3)
    grade.size = float(min(share, 1.0) * np.max((high - low)[:2]))
    if share >= 0.9:
        return [other for other in pieces if other.name != piece.name]
    angle = rng.uniform(0, 2 * np.pi)
    normal = np.array([np.cos(angle), np.sin(angle), 0.0])
    reach = np.abs(normal) @ (high - low) / 2
    offset = normal @ (low + high) / 2 + reach * (2 * share - 1)
    return swap(pieces, replace(piece, solid=piece.solid.trim_by_plane(tuple(normal), offset)))


@operation("YW")
def foreign(pieces, category, grade):
    """Something that does not belong there: a splinter, a bead or a fibre lying on the part."""
    rng = grade.rng
    piece, side, _, _, point = pick_site(pieces, category, rng)
    radius = grade.size_mm(0.55, 2.0)
    kind = rng.integers(3)
    if kind == 0:
        solid = stone(radius, rng, 14, 0.6)
    elif kind == 1:
        solid = Manifold.sphere(0.8 * radius, 24)
    else:
        bend, thick = rng.uniform(-1, 1), 0.14 + 0.05 * radius
        angles = np.linspace(-1, 1, 9)
        line = np.stack([2.4 * radius * angles, bend * radius * angles**2, 0 * angles], 1)
        balls = [Manifold.sphere(thick, 8).translate(tuple(p)) for p in line]
        links = [Manifold.batch_hull(pair) for pair in pairwise(balls)]
        solid = Manifold.batch_boolean(links, OpType.Add)
    colour = [
        (0.7, 0.69, 0.65),
        (0.03, 0.03, 0.03),
        (0.5, 0.08, 0.05),
        tuple(tone(piece, rng, True)),
    ]
    skin = plain(colour[rng.integers(4)], rng.uniform(0.2, 0.7), 10, (0, 0, 0))
    out = np.array(AXES[side][2])
    right = np.array(AXES[side][0])
    turn = rng.uniform(0, 2 * np.pi)
    first = np.cos(turn) * right + np.sin(turn) * np.cross(out, right)
    frame = np.stack([first, np.cross(out, first), out, point + out * 0.15 * radius], 1)
    return [*pieces, Piece("foreign", solid.transform(frame), skin)]


@operation("BX")
def deformation(pieces, category, grade):
    """A dent, a bulge or a bent edge: the surface is pushed along its normal."""
    rng = grade.rng
    piece, side, a, b, point = pick_site(pieces, category, rng)
    if rng.random() < 0.5:
        point = edge_point(piece, side, a, b, rng.uniform(0, 2 * np.pi))
    wide, push = rng.uniform(2.0, 4.5), grade.size_mm(1.6, 3.8)
    sign = -1 if rng.random() < 0.7 else 1
    shift = sign * push * np.array(AXES[side][2])

    def move(vertices):
        away = ((np.asarray(vertices) - point) ** 2).sum(1)
        return vertices + np.exp(-away / (2 * wide**2))[:, None] * shift

    return swap(pieces, replace(piece, solid=piece.solid.refine_to_length(1.2).warp_batch(move)))
