"""The explorer's panels as one table: what each needs, its picture, its words, where one can click.

"against" is a control of those panels that can compare two models.
"""

from mfkit.explore import image_screens, plot_screens
from mfkit.explore.screen import Screen

__all__ = ["SCREENS"]

SCREENS = {
    "maps": Screen(
        ("map", "opacity", "threshold", "truth", "foreground", "against"),
        image_screens.maps,
        image_screens.maps_words,
        image_screens.tiles,
    ),
    "view": Screen(
        ("map", "opacity", "threshold", "truth", "foreground"),
        image_screens.view,
        image_screens.view_words,
        image_screens.view_areas,
    ),
    "gaussian": Screen(("block", "against"), plot_screens.gaussian, plot_screens.gaussian_words),
    "terms": Screen(
        (),
        image_screens.terms,
        image_screens.terms_words,
        image_screens.tiles,
    ),
    "set": Screen(
        ("threshold", "against"),
        plot_screens.whole_set,
        plot_screens.set_words,
        plot_screens.set_areas,
    ),
    "position": Screen((), plot_screens.position, plot_screens.position_words),
    "messages": Screen(("against",), plot_screens.messages, plot_screens.messages_words),
    "way back": Screen(
        ("temperature", "towards", "fraction", "draw"),
        image_screens.way_back,
        image_screens.way_back_words,
    ),
}
