"""Draw the rooms of mfkit from the code's own imports: python tests/support/rooms.py

Writes notebooks/results/rooms.svg; a test says whether it is still true.
"""

import ast
import html
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "notebooks" / "results" / "rooms.svg"

# room -> x, y, width of its box; what is imported lies further down
BOXES = {
    "explore": (20, 20, 350),
    "study": (382, 20, 215),
    "inspection": (609, 20, 251),
    "kit": (20, 235, 180),
    "course": (215, 235, 240),
    "experiment": (560, 200, 300),
    "features": (90, 400, 250),
    "score": (540, 400, 250),
    "data": (90, 580, 250),
    "flow": (540, 580, 250),
}
TITLES = {
    "data": "pictures → samples",
    "features": "samples → feature maps",
    "flow": "feature maps → latents",
    "score": "latents → scores, metrics",
    "experiment": "train, evaluate, compare",
    "inspection": "new pictures → verdicts",
    "explore": "look inside",
    "study": "many trials → one page",
    "course": "what notebooks share",
    "kit": "for teachers",
}
HEIGHT = 720
LINE, TOP = 15, 46  # px: between two lines of a box, and above the first
INK, QUIET, BLUE, ORANGE = "#333333", "#8a8a8a", "#0173b2", "#de8f05"


def imports(package: Path) -> dict[str, set[str]]:
    """For each room the other rooms that its files import."""
    found = {room.name: set() for room in package.iterdir() if (room / "__init__.py").exists()}
    for path in package.glob("*/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mfkit."):
                room = node.module.split(".")[1]
                if room in found and room != path.parent.name:
                    found[path.parent.name].add(room)
    return found


def files(room: Path) -> list[str]:
    """The files of a room in the order in which its face says to read them."""
    text = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8")))
    there = {path.stem for path in room.glob("*.py")} - {"__init__"}
    named = [name for name in re.findall(r"`(\w+)`", text) if name in there]
    return [*dict.fromkeys(named), *sorted(there - set(named))]


def lines(room: Path, width: int) -> list[str]:
    """The files' names, as many as fit into each line of the box."""
    made = [""]
    for name in files(room):
        longer = f"{made[-1]} · {name}".strip(" ·")
        if len(longer) * 6.3 > width - 24:
            made.append(name)
        else:
            made[-1] = longer
    return made


def heights_of(package: Path) -> dict[str, int]:
    """How high each room's box is."""
    return {
        room: TOP + LINE * len(lines(package / room, BOXES[room][2])) for room in imports(package)
    }


def overlaps(package: Path) -> list[tuple[str, str]]:
    """Pairs of rooms whose boxes lie upon each other."""
    heights = heights_of(package)
    apart = {room: (x, y, x + width, y + heights[room]) for room, (x, y, width) in BOXES.items()}
    return [
        (one, other)
        for one, (left, top, right, bottom) in apart.items()
        for other, (x, y, to, low) in apart.items()
        if one < other and left < to and x < right and top < low and y < bottom
    ]


def draw(package: Path) -> str:
    """The picture as SVG."""
    rooms, heights = imports(package), heights_of(package)
    shapes = []
    for room, others in sorted(rooms.items()):
        for other in sorted(others):
            shapes.append(_arrow(room, other, heights))
    for room in rooms:
        shapes.append(_box(package / room, heights[room]))
    style = f'font-family="DejaVu Sans, Arial, sans-serif" fill="{INK}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 880 {HEIGHT}" {style}>\n'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="{QUIET}"/></marker></defs>\n'
        + f'<rect width="880" height="{HEIGHT}" fill="white"/>\n'
        + "\n".join(shapes)
        + "\n</svg>\n"
    )


def _box(room: Path, height: int) -> str:
    x, y, width = BOXES[room.name]
    colour = BLUE if room.name in ("data", "features") else ORANGE
    colour = colour if room.name in ("data", "features", "flow", "score") else INK
    parts = [
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="white" '
        f'stroke="{colour}" stroke-width="1.6"/>',
        f'<text x="{x + 12}" y="{y + 20}" font-size="14" font-weight="bold">{room.name}</text>',
        f'<text x="{x + width - 12}" y="{y + 20}" font-size="11" text-anchor="end" '
        f'fill="{QUIET}">{html.escape(TITLES[room.name])}</text>',
    ]
    for number, line in enumerate(lines(room, width)):
        at = y + TOP - 6 + LINE * number
        parts.append(f'<text x="{x + 12}" y="{at}" font-size="11">{line}</text>')
    return "\n".join(parts)


def _arrow(room: str, other: str, heights: dict[str, int]) -> str:
    """From the importing room down to the imported one, or across."""
    x, y, width = BOXES[room]
    x2, y2, width2 = BOXES[other]
    start, end = x + width / 2, x2 + width2 / 2
    if y == y2:
        start, end = (x, x2 + width2) if x > x2 else (x + width, x2)
        y, y2 = y + 30, y2 + 30
    elif y < y2:
        lean = 0.32 * (end - start) / 4
        start, end = start + min(max(lean, -90), 90), end - min(max(lean, -90), 90)
        y = y + heights[room]
    else:
        raise ValueError(f"{room} imports {other}, which lies above it")
    return (
        f'<line x1="{start:.0f}" y1="{y}" x2="{end:.0f}" y2="{y2 - (y != y2) * 2}" '
        f'stroke="{QUIET}" stroke-width="1.2" marker-end="url(#tip)"/>'
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(ROOT / "mfkit"), encoding="utf-8")
    print(PICTURE)
