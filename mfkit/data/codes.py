"""What the codes of defects mean."""

__all__ = ["CODES", "MISFITS"]

CODES = {
    "AK": "pit",
    "BX": "deformation",
    "CH": "abrasion",
    "HS": "scratch",
    "PS": "damage",
    "QS": "missing part",
    "YW": "foreign object",
    "ZW": "contamination",
}
"""Real-IAD's own: defects that show in single views."""

MISFITS = {
    "JC": "crossed wires",
    "HP": "mixed lots",
    "XH": "wrong variant",
}
"""Mini-IAD's further codes: every view is sound, the set of them does not fit together."""
