"""What the masks of defects say where score maps are compared with them, if anything."""

from collections.abc import Iterable
from pathlib import Path

from mfkit.data.images import read_mask
from mfkit.data.sample import Sample

__all__ = ["BLACK", "MASK_SIZE", "doubt", "doubts"]

MASK_SIZE = 256  # px: where the released code compares maps with masks
BLACK = "is black, although its view is labelled defective"
THIN = f"marks nothing at {MASK_SIZE} px, where maps are compared: it is too thin"
WIDE = "marks more than half of its image; is it inverted?"


def doubt(mask: Path, image: Path | None) -> str | None:
    """What is doubtful about the mask of a view that is labelled defective; None: nothing.

    Arguments:
        mask: its file.
        image: that of the view; None: it cannot be read.

    Raises:
        InputError: the mask cannot be read, see `read_mask`.
    """
    compared = read_mask(mask, MASK_SIZE, image=image)
    if not compared.any():
        return THIN if read_mask(mask).any() else BLACK
    return WIDE if compared.mean() > 0.5 else None


def doubts(samples: Iterable[Sample]) -> tuple[int, list[str]]:
    """The masks of samples that mark nothing, or too much, where score maps are compared.

    Returns:
        how many masks mark something; for each doubtful one its file and why.

    Raises:
        InputError: a mask cannot be read, or means something else.
    """
    marking, found = 0, []
    for sample in samples:
        for image, mask in zip(sample.images, sample.masks, strict=True):
            if mask is not None:
                why = doubt(mask, image)
                marking += why in (None, WIDE)
                if why is not None:
                    found.append(f"{mask} {why}")
    return marking, found
