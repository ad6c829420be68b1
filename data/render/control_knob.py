"""Category ``control_knob``: a glossy moulded knob with turned cap, metal ring and pointer."""

import numpy as np
from scene import Piece, draw_rig
from skin import lettering, plain, strokes
from solid import disc, lathe, rectangle, slab
from wear import dust, hairlines, mottle, turned

VIEW, HEIGHT = 25.0, 7.5
LOTS = {
    "black": (0.020, 0.020, 0.022),
    "ivory": (0.62, 0.54, 0.38),
    "red": (0.42, 0.025, 0.02),
    "teal": (0.01, 0.19, 0.20),
    "grey": (0.20, 0.21, 0.22),
}
TRAIN = 64  # samples
CODES = dict.fromkeys(("BX", "CH", "HS", "PS", "QS", "ZW"), 8)  # test samples
COARSE = 1.8  # factor on the size of defects
HIDE = True  # shall every third defect show to one or two cameras only?
# surfaces on which a defect may sit: piece, direction, a and b ranges (mm), weight
SITES = (
    ("body", "+z", (-19, 19), (-19, 19), 3.0),
    ("cap", "+z", (-8, 8), (-8, 8), 1.0),
    ("body", "-y", (-9, 9), (-4, 7), 1.5),
    ("body", "+x", (-9, 9), (-4, 7), 1.5),
    ("body", "+y", (-9, 9), (-4, 7), 1.5),
    ("body", "-x", (-9, 9), (-4, 7), 1.5),
)
LOOSE = ("cap", "pointer", "setscrew", "ring")


def knob(flutes):
    """Flange and fluted grip, hollow on top for the cap."""
    grip = [(0, 0), (20.3, 0), (21, 0.7), (21, 2.4), (20.3, 3.1), (16.4, 3.4)]
    grip += [(15.2, 16.0), (14.9, 17.0), (14.2, 17.8), (13.2, 18.2), (0, 18.2)]
    body = lathe(grip) - slab(disc(10.6), 16.8, 30)
    groove = slab(disc(2.1), -9, 9.5).rotate((5, 0, 0)).translate((0, -17.2, 15))
    for k in range(flutes):
        if k:  # the pointer sits where the first flute would be
            body -= groove.rotate((0, 0, 360 * k / flutes))
    hole = slab(disc(1.9), -5, 5).rotate((0, 90, 0)).translate((15.5, 0, 9.5))
    return body - hole


def build(rng):
    """One sound part: pieces, rig, properties."""
    lot = str(rng.choice(list(LOTS)))
    flutes = int(rng.choice((12, 16)))
    scale = int(rng.choice((10, 12)))
    skin = plain(LOTS[lot], rng.uniform(0.16, 0.26), 46, (0, 0, 9), clearcoat=0.8)
    skin.colour *= rng.uniform(0.85, 1.15)
    mottle(skin, rng, 0.02)
    ink = (0.78, 0.78, 0.75) if lot != "ivory" else (0.04, 0.04, 0.04)
    angles = np.radians(np.linspace(-230, 50, scale))
    ticks = [([(18.2 * c, 18.2 * s), (20.2 * c, 20.2 * s)], 0.55, 1.0) for c, s in
             zip(np.cos(angles), np.sin(angles), strict=True)]  # fmt: skip
    skin.blend("+z", strokes(skin, ticks), ink, 0.45)
    hairlines(skin, rng, int(rng.integers(4, 18)))
    dust(skin, rng, int(rng.integers(10, 60)))

    tone = rng.uniform(0.58, 0.75)
    cap = plain((tone, tone, 0.98 * tone), 0.24, 22, (0, 0, 0), metallic=1.0, texels=256)
    turned(cap, rng, 0.05)
    code = f"{'ABCD'[rng.integers(4)]}{rng.integers(10, 99)}"
    cap.blend("+z", lettering(cap, code, 0, -4.2, 3.4), (0.05, 0.05, 0.06), 0.5)
    hairlines(cap, rng, int(rng.integers(2, 9)))
    ring = plain(
        (0.66, 0.65, 0.62), rng.uniform(0.12, 0.22), 40, (0, 0, 4), metallic=1.0, texels=128
    )
    white = plain(ink, 0.35, 30, (0, 0, 9), texels=96)
    steel = plain((0.33, 0.32, 0.31), 0.35, 8, (0, 0, 0), metallic=1.0, texels=96)

    tube = lathe([(15.0, 3.0), (17.3, 3.0), (17.6, 3.3), (17.6, 4.6), (17.2, 5.0), (15.0, 5.0)])
    pointer = slab(rectangle(1.7, 6.4, 0.3), 3.0, 18.9, 0.3).translate((0, -14.2, 0))
    plug = slab(disc(1.8), -4, 0.2, 0.2)
    plug -= slab(rectangle(2.6, 0.6, 0.1), -0.7, 2).rotate((0, 0, rng.uniform(0, 180)))
    pieces = [
        Piece("body", knob(flutes), skin),
        Piece("cap", slab(disc(10.4), -1.0, 1.0, 0.4), cap, (0, 0, 17.4), rng.normal() * 4),
        Piece("ring", tube, ring),
        Piece("pointer", pointer, white),
        Piece("setscrew", plug.rotate((0, 90, 0)), steel, (14.9, 0, 9.5)),
    ]
    marks = {"lot": lot, "mark": code, "variant": f"{flutes} flutes, {scale} ticks"}
    return pieces, draw_rig(rng, VIEW, HEIGHT, 7.0), marks
