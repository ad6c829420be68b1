"""Category ``wire_plug``: a junction plug whose views must agree, though no camera sees two ends.

Three things are told in several places of a plug, and each place is seen by one camera only:

    wires     the order of four colours      in front (C2) and on the right (C3)
    lot       the colour of the seals        on top (C1), at the back (C4) and on the left (C5)
    variant   the contacts at the back (C4)  and the number on the left (C5) that counts them

Any value is legal, and a sound plug tells the same everywhere. A *misfit* is a plug of which one
place tells another value, drawn evenly from the others: so what one camera sees of a misfit is
what it sees of some sound plug, and equally often.
"""

from dataclasses import replace
from itertools import combinations

import numpy as np
from scene import Piece, draw_rig
from skin import lettering, noise, plain
from solid import disc, lathe, rectangle, slab
from wear import brush, dust, hairlines, mottle

VIEW, HEIGHT = 26.5, 8.0
TRAIN = 128  # samples
EDGE, TALL, MIDDLE = 21.0, 21.0, 9.8  # mm: half the body's width, its height, height of the holes
GROUND = (0.006, 0.006, 0.007)  # so dark that no colour shines on it
WIRES = {
    "r": (0.50, 0.015, 0.012),
    "y": (0.74, 0.46, 0.01),
    "b": (0.012, 0.07, 0.48),
    "w": (0.74, 0.74, 0.72),
}
LOTS = {
    "orange": (0.66, 0.17, 0.01),
    "green": (0.02, 0.30, 0.06),
    "violet": (0.24, 0.04, 0.42),
    "sky": (0.07, 0.40, 0.66),
    "ivory": (0.68, 0.60, 0.42),
}
COUNTS = (1, 2, 3)
ALONG = (-13.2, -4.4, 4.4, 13.2)  # mm to the right of a side's middle: the four wires
SEAL, WINDOW = -9.2, 8.4  # mm to the right of a side's middle: the seal, the window beside it
WELL = (-8.4, -8.0)  # mm: in the picture the seal at its bottom lies where the other two do
MISFITS = {"JC": "crossed wires", "HP": "mixed lots", "XH": "wrong variant"}
CODES = {"HS": 8, "PS": 8, "QS": 8, "ZW": 8, "JC": 16, "HP": 16, "XH": 16}  # test samples
COARSE = 1.3  # factor on the size of defects
HIDE = False  # shall every third defect show to one or two cameras only?
# surfaces on which a defect may sit: piece, direction, a and b ranges (mm), weight
SITES = (
    ("body", "+z", (-18, 18), (-18, 18), 3.0),
    ("body", "-y", (-18, 18), (-9, 9), 1.5),
    ("body", "+x", (-18, 18), (-9, 9), 1.5),
    ("body", "+y", (-18, 18), (-9, 9), 1.5),
    ("body", "-x", (-18, 18), (-9, 9), 1.5),
)
LOOSE = ("rivet1", "rivet2", "rivet3", "rivet4", "screw", "front2", "right3")


def draw(rng):
    """What a sound plug tells in each place: a dict of place -> value."""
    wires = "".join(rng.permutation(list(WIRES)))
    lot, count = str(rng.choice(list(LOTS))), int(rng.choice(COUNTS))
    lots = dict.fromkeys(("top", "back", "left"), lot)
    return {"front": wires, "right": wires, **lots, "contacts": count, "number": count}


def misfit(code, told, rng):
    """The same with one place changed, and the names of the pieces that do not fit together then.

    Of two places that contradict each other both are wrong, of three the one that stands alone. The
    new value is uniform over all others (over all swaps of two wires), so if the old one was drawn
    uniformly, the new one is, too.
    """
    if code == "JC":
        place = ("front", "right")[rng.integers(2)]
        one, two = list(combinations(range(4), 2))[rng.integers(6)]
        order = list(told[place])
        order[one], order[two] = order[two], order[one]
        wrong = [f"{end}{k + 1}" for end in ("front", "right") for k in (one, two)]
        return {**told, place: "".join(order)}, wrong
    if code == "HP":
        place = ("top", "back", "left")[rng.integers(3)]
        others = [lot for lot in LOTS if lot != told[place]]
        return {**told, place: others[rng.integers(len(others))]}, [place]
    place = ("contacts", "number")[rng.integers(2)]
    others = [count for count in COUNTS if count != told[place]]
    wrong = ["number", *(f"contact{k}" for k in COUNTS)]
    return {**told, place: others[rng.integers(len(others))]}, wrong


def put(solid, side, a, b=MIDDLE):
    """A solid whose z axis points outwards, onto a side: a mm to the right, b mm up."""
    turn = {"-y": 0, "+x": 90, "+y": 180, "-x": 270}[side]
    return solid.rotate((90, 0, 0)).translate((a, 0, b)).rotate((0, 0, turn))


def housing():
    """The body with its holes, and a seam all around between its two halves."""
    body = slab(rectangle(2 * EDGE, 2 * EDGE, 2.2), 0, TALL, 1.0)
    ring = rectangle(60, 60, 1) - rectangle(2 * EDGE - 0.9, 2 * EDGE - 0.9, 1.8)
    body -= ring.extrude(0.7).translate((0, 0, 17))
    for side in ("-y", "+x"):
        body -= put(slab(rectangle(38.0, 11.4, 1.5), EDGE - 0.9, 30), side, 0)
        for a in ALONG:
            body -= put(slab(disc(4.05), EDGE - 6, 30), side, a)
    for side in ("+y", "-x"):
        body -= put(slab(disc(5.8), EDGE - 6, 30), side, SEAL)
        body -= put(slab(rectangle(17.2, 12.2, 1.0), EDGE - 3.2, 30), side, WINDOW)
    body -= slab(disc(6.6), 5.0, 30).translate((*WELL, 0))
    body -= slab(disc(4.6), TALL - 2.2, 30).translate((9.5, -9.5, 0))
    for x in (-15.6, 15.6):
        body -= slab(rectangle(0.8, 26, 0.3), TALL - 0.8, 30).translate((x, 0, 0))
    return body


def build(rng, code="OK"):
    """One plug, a misfit if the code is one of ``MISFITS``: pieces, rig, properties.

    Whatever the plug tells, all else is drawn alike.
    """
    told, wrong = draw(rng), []
    dice = np.random.default_rng(rng.integers(2**32))
    if code in MISFITS:
        told, wrong = misfit(code, told, dice)
    serial = f"{rng.integers(100, 999)}-{rng.integers(1, 9)}"
    pieces = [Piece("body", housing(), shell(serial, rng)), *fasteners(rng)]
    for end, side in (("front", "-y"), ("right", "+x")):
        for k, a in enumerate(ALONG):
            pieces.append(wire(f"{end}{k + 1}", side, a, WIRES[told[end][k]], rng))
    for name, side in (("back", "+y"), ("left", "-x")):
        seal = put(slab(disc(5.6), EDGE - 6, EDGE - 0.9, 0.7), side, SEAL)
        pieces.append(moulded(name, seal, LOTS[told[name]], rng))
    seal = slab(disc(6.5), 2.0, 6.5).translate((*WELL, 0))
    pieces.append(moulded("top", seal, LOTS[told["top"]], rng))
    pieces += [sleeve(), *contacts(told["contacts"], rng), plate(told["number"], rng)]
    lots = "/".join(told[name] for name in ("top", "back", "left"))
    variant = f"{told['front']}/{told['right']}, {lots}, {told['contacts']}/{told['number']}"
    marks = {"lot": told["top"], "mark": serial, "variant": variant}
    pieces = [replace(piece, fits=piece.name not in wrong) for piece in pieces]
    return pieces, replace(draw_rig(rng, VIEW, HEIGHT), ground=GROUND), marks


def shell(serial, rng):
    """The skin of the body: dark plastic with print."""
    tone = rng.uniform(0.030, 0.055)
    skin = plain((tone, tone, 1.12 * tone), rng.uniform(0.34, 0.46), 46, (0, 0, 10.5))
    mottle(skin, rng, 0.03)
    skin.relief += 0.004 * noise(rng, skin.relief.shape, 1.3)
    for b, text, height in ((9.4, "MF7", 5.2), (2.6, serial, 3.8)):
        skin.blend("+z", lettering(skin, text, 0, b, height), (0.7, 0.7, 0.68), 0.5)
    hairlines(skin, rng, int(rng.integers(4, 16)))
    dust(skin, rng, int(rng.integers(10, 50)))
    return skin


def fasteners(rng):
    """Four rivets and a screw on top."""
    made = []
    for k, (x, y) in enumerate(((-17, -17), (17, -17), (17, 17), (-17, 17)), 1):
        steel = plain((0.6, 0.59, 0.57), 0.3, 8, (0, 0, 0), metallic=1.0, texels=96)
        brush(steel, rng, 0.05)
        rivet = slab(disc(2.0), -4.0, 0.8, 0.4)
        made.append(Piece(f"rivet{k}", rivet, steel, (x, y, TALL), rng.uniform(0, 180)))
    steel = plain((0.6, 0.59, 0.57), 0.3, 10, (0, 0, 0), metallic=1.0, texels=96)
    brush(steel, rng, 0.05)
    head = slab(disc(4.0), -6.0, 1.4, 0.5) - slab(rectangle(6.0, 1.0, 0.1), 0.2, 3.0)
    made.append(Piece("screw", head, steel, (9.5, -9.5, TALL - 2.2), rng.uniform(0, 180)))
    return made


def sleeve():
    """The lining of the well: no side camera sees what it holds, nor its light on the wall."""
    skin = plain((0.003, 0.003, 0.003), 1.0, 46, (0, 0, 10.5), texels=64)
    skin.specular = 0.0
    tube = lathe([(5.4, 6.5), (6.6, 6.5), (6.6, TALL + 0.2), (6.3, TALL + 0.5), (5.4, TALL + 0.5)])
    return Piece("sleeve", tube, skin, (*WELL, 0))


def moulded(name, solid, colour, rng):
    """A piece of plastic in one colour."""
    low, high = np.array(solid.bounding_box()).reshape(2, 3)
    colour = np.array(colour) * rng.uniform(0.88, 1.08)
    span = 1.1 * (high - low).max()
    skin = plain(colour, rng.uniform(0.32, 0.45), span, (low + high) / 2, texels=96)
    mottle(skin, rng, 0.02)
    return Piece(name, solid, skin)


def wire(name, side, a, colour, rng):
    """The end of a wire: coloured insulation around a core of copper."""
    core = slab(disc(1.5), EDGE - 3, EDGE - 0.9, 0.3)
    solid = slab(disc(3.9), EDGE - 6, EDGE - 1.3, 0.6) + core
    piece = moulded(name, put(solid, side, a), colour, rng)
    copper = (np.hypot(*piece.skin.grid()) < 1.6).astype(float)
    piece.skin.blend(side, copper, (0.50, 0.21, 0.09), 0.3)
    return piece


def plate(number, rng):
    """The plate on the left with the variant's number."""
    solid = put(slab(rectangle(16.4, 11.4, 0.8), EDGE - 3.6, EDGE - 1.6), "-x", WINDOW)
    piece = moulded("number", solid, (0.66, 0.66, 0.63), rng)
    piece.skin.blend("-x", lettering(piece.skin, str(number), 0, 0, 8.8), (0.02, 0.02, 0.02), 0.5)
    return piece


def contacts(count, rng):
    """The contacts at the back: one wide, two or three narrow ones, together of one width.

    All are made, and the dice rolled for all, whatever the count.
    """
    made, width = [], 10.2 / count
    for k in COUNTS:
        brass = plain((0.86, 0.60, 0.20), 0.42, 14, (0, 0, 0), metallic=0.7, texels=96)
        brush(brass, rng, 0.05)
        a = WINDOW + 15.3 / count * (k - (count + 1) / 2)
        blade = slab(rectangle(width, 9.0, 0.4), EDGE - 3.6, EDGE - 1.2, 0.5)
        made.append(Piece(f"contact{k}", put(blade, "+y", a), brass))
    return made[:count]
