"""A student's path through every lesson in a real browser, and what is seen (`make test-kit`).

Lesson 6 has tests of its own: test_explorer.py.
"""

import lessons
import pytest
from lab import ROOT, assert_no_trouble, find_chromium, lesson

CHROMIUM = find_chromium()
pytestmark = [
    pytest.mark.kit,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]
SHOTS = ROOT / "runs" / "browser" / "lessons"
LAPTOP = {"width": 1366, "height": 768}
WIDER = """() => [...document.querySelectorAll(".jp-OutputArea-output")]
    .filter(output => output.scrollWidth > output.clientWidth + 4)
    .map(output => output.innerText.slice(0, 200))"""


@pytest.mark.parametrize("name", [name for name in lessons.names() if name != "06_explorer"])
def test_a_lesson_runs_without_an_error_and_fits_a_laptop(name, tmp_path):
    SHOTS.mkdir(parents=True, exist_ok=True)
    with lesson(name, tmp_path) as (page, troubles):
        page.set_viewport_size(LAPTOP)
        assert_no_trouble(page, troubles)
        assert page.evaluate(WIDER) == []
        panel = page.locator(".jp-WindowedPanel-outer")
        height, step = panel.evaluate("panel => [panel.scrollHeight, panel.clientHeight]")
        for number, top in enumerate(range(0, height, step)):
            panel.evaluate("(panel, top) => { panel.scrollTop = top }", top)
            page.screenshot(path=SHOTS / f"{name}-{number:02}.png")
