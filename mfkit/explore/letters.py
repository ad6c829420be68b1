"""Words on a picture, without matplotlib: it takes ten times as long, most of it for a layout.

The letters are those of its figures, so that sheets and plots look alike.
"""

from functools import cache, lru_cache

from matplotlib.font_manager import findfont
from PIL import Image, ImageColor, ImageDraw, ImageFont

from mfkit import escape
from mfkit.palette import PALETTE

__all__ = ["write"]

POINTS, DPI = 9, 100
MARGIN = 2  # px around a word on white


def write(
    paper: Image.Image,
    text: object,
    at: tuple[float, float],
    across: float = 0.5,
    down: float = 0.5,
    upright: bool = False,
    white: bool = False,
) -> None:
    """Write a line into an image.

    Arguments:
        paper: RGB.
        text: in one line, whatever is in it.
        at: x and y in px.
        across, down: which point of the word lies there, as shares of its width and height; 0 is
            its left or upper end.
        upright: from below to above.
        white: on white, so that it can be read on a picture.
    """
    word = _word(" ".join(escape.terminal(text).split("\n")), upright)
    left, top = round(at[0] - across * word.width), round(at[1] - down * word.height)
    if white:
        ground = (left - MARGIN, top, left + word.width + MARGIN - 1, top + word.height - 1)
        paper.paste("white", (max(ground[0], 0), max(ground[1], 0), *ground[2:]))
    paper.paste(ImageColor.getrgb(PALETTE["ink"]), (left, top), word)


@lru_cache(1024)
def _word(text: str, upright: bool) -> Image.Image:
    """How dark it makes each pixel; all words are equally high, so that lines stay lines."""
    up, down = _font().getmetrics()
    width = max(round(_font().getlength(text)), 1)
    word = Image.new("L", (width, up + down))
    ImageDraw.Draw(word).text((0, up), text, fill=255, font=_font(), anchor="ls")
    return word.transpose(Image.Transpose.ROTATE_90) if upright else word


@cache
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(findfont("DejaVu Sans"), POINTS * DPI / 72)
