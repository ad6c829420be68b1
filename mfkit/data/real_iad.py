"""What is known about Real-IAD itself: which views are mirrored, and how many images there are."""

__all__ = ["FLIPS", "TOTALS"]

# Which of the cameras C1 ... C5 to mirror so that neighbouring views agree: found by eye by the
# authors of Multi-Flow. Applied when an image is read, never on disk, and only to files named as in
# Real-IAD: your own category may be called "pcb", too.
FLIPS = {
    "audiojack": "01000",
    "bottle_cap": "00000",
    "button_battery": "01111",
    "end_cap": "01100",
    "eraser": "10000",
    "fire_hood": "01100",
    "mint": "01110",
    "mounts": "10000",
    "pcb": "01000",
    "phone_battery": "01110",
    "plastic_nut": "01100",
    "plastic_plug": "01110",
    "porcelain_doll": "10001",
    "regulator": "01111",
    "rolled_strip_base": "10000",
    "sim_card_set": "01100",
    "switch": "01111",
    "tape": "10000",
    "terminalblock": "10000",
    "toothbrush": "01110",
    "toy": "01111",
    "toy_brick": "10001",
    "transistor1": "01111",
    "u_block": "10011",
    "usb": "01000",
    "usb_adaptor": "01100",
    "vcpill": "10001",
    "wooden_beads": "01000",
    "woodstick": "01100",
    "zipper": "01100",
}
# Images of Real-IAD's 30 categories, as published (CVPR 2024).
TOTALS = {"train": 36_465, "test": 114_585}
