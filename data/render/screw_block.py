"""Category ``screw_block``: a moulded terminal of coloured plastic with three steel screws."""

import numpy as np
from scene import Piece, draw_rig
from skin import lettering, noise, plain
from solid import disc, rectangle, slab
from wear import brush, dust, hairlines, mottle

VIEW, HEIGHT = 26.5, 7.5
WELLS = (-13.0, 0.0, 13.0)
LOTS = {
    "green": (0.035, 0.22, 0.075),
    "orange": (0.62, 0.17, 0.02),
    "grey": (0.25, 0.26, 0.27),
    "blue": (0.03, 0.10, 0.36),
    "beige": (0.55, 0.47, 0.33),
}
TRAIN = 64  # samples
CODES = dict.fromkeys(("AK", "BX", "CH", "HS", "PS", "QS", "YW", "ZW"), 6)  # test samples
COARSE = 1.0  # factor on the size of defects
HIDE = False  # shall every third defect show to one or two cameras only?
# surfaces on which a defect may sit: piece, direction, a and b ranges (mm), weight
SITES = (
    ("body", "+z", (-19, 19), (-12, 12), 3.0),
    ("body", "-y", (-19, 19), (-7, 7), 2.0),
    ("body", "+y", (-19, 19), (-7, 7), 2.0),
    ("body", "+x", (-12, 12), (-7, 7), 1.5),
    ("body", "-x", (-12, 12), (-7, 7), 1.5),
)
LOOSE = ("screw1", "screw2", "screw3", "pin1", "pin2")


def screw(slot):
    """A pan-head screw, its origin in the middle of the head; slot: 'cross' or 'line'."""
    head = slab(disc(3.7), -6.0, 0.9, 0.5)
    bar = slab(rectangle(5.4, 0.95, 0.1), -0.5, 2.0)
    return head - bar - bar.rotate((0, 0, 90)) if slot == "cross" else head - bar


def build(rng):
    """One sound part: pieces, rig, properties."""
    lot = str(rng.choice(list(LOTS)))
    slot = "cross" if rng.random() < 0.5 else "line"
    number = f"{rng.integers(10, 99)}-{rng.integers(1, 9)}"
    body = slab(rectangle(43, 31, 1.6), 0, 17, 0.9)
    for x in WELLS:
        body -= slab(disc(4.5), 13.2, 22).translate((x, 1.5, 0))
        body -= slab(disc(2.2), 4, 22).translate((x, 1.5, 0))
        body -= slab(rectangle(7.4, 6.2, 0.8), -5, 5).rotate((90, 0, 0)).translate((x, -16, 5.6))
    for x in (-6.5, 6.5):  # grooves between the poles
        body -= slab(rectangle(1.0, 70, 0.3), 15.8, 22).translate((x, 0, 0))
        body -= slab(disc(1.6), -4, 4).rotate((90, 0, 0)).translate((x, -15.4, 12.6))
    for x in (-17.5, -13.0, -8.5, -4.5, 0.0, 4.5, 8.5, 13.0, 17.5):  # ribs at the back
        body -= slab(rectangle(0.9, 0.9, 0.3), -1, 9.5).translate((x, 15.5, 0))

    colour = np.array(LOTS[lot]) * rng.uniform(0.85, 1.15)
    skin = plain(colour, rng.uniform(0.34, 0.46), 48, (0, 0, 8.5))
    mottle(skin, rng, 0.03)
    skin.relief += 0.006 * noise(rng, skin.relief.shape, 1.3)
    white = (0.75, 0.75, 0.72) if lot != "beige" else (0.05, 0.05, 0.05)
    for k, x in enumerate(WELLS):
        skin.blend("+z", lettering(skin, "LNE"[k], x, -8.2, 3.8), white, 0.5)
    skin.blend("+y", lettering(skin, f"LOT {number}", 0, 2.9, 3.6), white, 0.5)
    moulded = lettering(skin, "MF5" if slot == "cross" else "MF5a", 0, 0, 4.4)
    for side in ("+x", "-x"):
        skin.blend(side, moulded, relief=0.35)
    hairlines(skin, rng, int(rng.integers(4, 16)))
    dust(skin, rng, int(rng.integers(10, 60)))

    pieces = [Piece("body", body, skin)]
    steel = rng.uniform(0.5, 0.66)
    for k, x in enumerate(WELLS):
        metal = plain(
            (steel, steel * 0.99, steel * 0.95), 0.28, 10, (0, 0, 0), metallic=1.0, texels=96
        )
        brush(metal, rng, 0.06)
        hairlines(metal, rng, int(rng.integers(1, 5)))
        pieces.append(
            Piece(f"screw{k + 1}", screw(slot), metal, (x, 1.5, 14.9), rng.uniform(0, 180))
        )
    for k, x in enumerate((-6.5, 6.5)):
        brass = plain((0.78, 0.55, 0.22), 0.25, 6, (0, 0, 0), metallic=1.0, texels=96)
        brush(brass, rng, 0.05)
        pin = slab(disc(1.5), -1.0, 1.2, 0.3).rotate((90, 0, 0))
        pieces.append(Piece(f"pin{k + 1}", pin, brass, (x, -15.4, 12.6)))
    marks = {"lot": lot, "mark": f"LOT {number}", "variant": slot}
    return pieces, draw_rig(rng, VIEW, HEIGHT), marks
