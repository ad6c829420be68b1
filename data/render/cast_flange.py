"""Category ``cast_flange``: a cast aluminium flange with machined face, bronze bush and bolts."""

import numpy as np
from manifold3d import Manifold
from scene import Piece, draw_rig
from skin import blot, lettering, noise, plain
from solid import disc, lathe, rectangle, slab
from wear import brush, dust, hairlines, mottle, turned

VIEW, HEIGHT = 27.0, 6.5
PAINT = {
    "yellow": (0.70, 0.48, 0.02),
    "blue": (0.02, 0.10, 0.45),
    "green": (0.03, 0.30, 0.08),
    "orange": (0.75, 0.20, 0.01),
    "red": (0.50, 0.03, 0.02),
}
TRAIN = 64  # samples
CODES = dict.fromkeys(("AK", "BX", "CH", "HS", "PS", "QS", "YW", "ZW"), 6)  # test samples
COARSE = 1.3  # factor on the size of defects
HIDE = True  # shall every third defect show to one or two cameras only?
# surfaces on which a defect may sit: piece, direction, a and b ranges (mm), weight
SITES = (
    ("body", "+z", (-19, 19), (-19, 19), 3.0),
    ("face", "+z", (-10, 10), (-10, 10), 1.0),
    ("body", "-y", (-17, 17), (-7.5, -2.5), 1.0),
    ("body", "+x", (-17, 17), (-7.5, -2.5), 1.0),
    ("body", "+y", (-17, 17), (-7.5, -2.5), 1.0),
    ("body", "-x", (-17, 17), (-7.5, -2.5), 1.0),
    ("body", "-y", (-5, 5), (-1, 6), 0.5),
    ("body", "+y", (-5, 5), (-1, 6), 0.5),
)
LOOSE = ("bolt1", "bolt2", "pin1", "pin2", "bush")
HOLES = ((14.5, 14.5), (-14.5, -14.5), (14.5, -14.5), (-14.5, 14.5))


def casting():
    """Plate, boss and ribs with four holes and a bore."""
    body = slab(rectangle(43, 43, 7), 0, 6.5, 0.8)
    body += lathe([(0, 0), (13.2, 0), (13.2, 6.5), (12.4, 7.4), (11.0, 17.2), (10.4, 18), (0, 18)])
    for k in range(4):
        rib = slab(rectangle(15, 2.4, 0.5), 0, 13.5, 0.5).translate((11.0, 0, 0))
        rib -= slab(rectangle(30, 10, 1), 0, 20).rotate((0, 38, 0)).translate((16.5, 0, 9.2))
        body += rib.rotate((0, 0, 90 * k))
    body -= slab(disc(6.6), -1, 30)
    for x, y in HOLES:
        body -= slab(disc(2.7), -1, 30).translate((x, y, 0))
        body -= slab(disc(4.6), 6.0, 7).translate((x, y, 0))
    for x, y in ((0, 18.8), (0, -18.8)):
        body -= slab(disc(1.3), 3, 30).translate((x, y, 0))
    return body


def bolt():
    """A socket-head bolt, its origin under the head."""
    corners = np.radians(np.arange(6) * 60)
    key = [(1.75 * np.cos(t), 1.75 * np.sin(t), z) for t in corners for z in (1.4, 9)]
    return (
        slab(disc(3.8), 0, 3.6, 0.45)
        + slab(disc(2.4), -5, 0.5)
        - Manifold.hull_points(np.array(key))
    )


def build(rng):
    """One sound part: pieces, rig, properties."""
    paint = str(rng.choice(list(PAINT)))
    heat = f"{rng.integers(100, 999)}"
    tone = rng.uniform(0.42, 0.60)
    skin = plain(
        (tone, tone * 0.99, tone * 0.97), rng.uniform(0.42, 0.52), 46, (0, 0, 9), metallic=0.9
    )
    mottle(skin, rng, 0.05)
    grain = rng.uniform(0.016, 0.026)
    skin.relief += grain * noise(rng, skin.relief.shape, 1.8)
    for side in ("-y", "+y"):
        raised = lettering(skin, f"MF {heat}", 8.5, -5.6, 3.4)
        skin.blend(side, raised, relief=0.5)
    a, b = rng.uniform(-13, -11), rng.uniform(5, 7)
    skin.blend("+z", blot(skin, a, b, rng.uniform(1.7, 2.3), rng, 0.15), PAINT[paint], 0.35)
    hairlines(skin, rng, int(rng.integers(3, 12)))
    dust(skin, rng, int(rng.integers(10, 50)))

    bright = plain((0.72, 0.71, 0.70), 0.26, 24, (0, 0, 18), metallic=1.0, texels=256)
    turned(bright, rng, 0.05)
    hairlines(bright, rng, int(rng.integers(2, 9)))
    bronze = plain(
        (0.62, 0.40, 0.16), rng.uniform(0.22, 0.32), 16, (0, 0, 15), metallic=1.0, texels=128
    )
    turned(bronze, rng, 0.05)
    ring = lathe([(6.6, 17.5), (10.3, 17.5), (10.3, 18.15), (6.6, 18.15)])
    bush = lathe([(4.9, 2), (6.6, 2), (6.6, 18.9), (6.3, 19.2), (5.2, 19.2), (4.9, 18.9)])
    pieces = [
        Piece("body", casting(), skin),
        Piece("face", ring, bright),
        Piece("bush", bush, bronze),
    ]
    dark = rng.uniform(0.07, 0.16)
    for k, (x, y) in enumerate(HOLES[:2], 1):
        steel = plain((dark, dark, dark * 1.05), 0.33, 10, (0, 0, 0), metallic=0.9, texels=96)
        brush(steel, rng, 0.04)
        pieces.append(Piece(f"bolt{k}", bolt(), steel, (x, y, 6.0), rng.uniform(0, 60)))
    for k, y in enumerate((18.8, -18.8), 1):
        steel = plain((0.6, 0.6, 0.6), 0.2, 6, (0, 0, 0), metallic=1.0, texels=96)
        brush(steel, rng, 0.04)
        pin = slab(disc(1.25), -3, 2.4, 0.4)
        pieces.append(Piece(f"pin{k}", pin, steel, (0, y, 6.5), rng.uniform(0, 180)))
    marks = {"lot": paint, "mark": f"MF {heat}", "variant": f"grain {grain:.3f} mm"}
    return pieces, draw_rig(rng, VIEW, HEIGHT), marks
