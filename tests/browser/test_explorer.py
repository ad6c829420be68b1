"""Lesson 6 in a real browser: what one sees is what Python says, and both move together."""

import re
import time
from hashlib import sha256

import pytest
from lab import ROOT, Kernel, browse, find_chromium, picture, serve

CHROMIUM = find_chromium()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]
EVERYTHING = """(explorer.state(), explorer.numbers(), explorer.line(),
    sha256(_png(explorer.figure())).hexdigest(), sha256(explorer.picture.value).hexdigest())"""
SHOTS = ROOT / "runs" / "browser"
NOTEBOOK = "notebooks/06_explorer.ipynb"


@pytest.fixture(scope="module")
def lesson(tmp_path_factory):
    """A copy of lesson 6, all of its cells run, with its page, troubles and kernel."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "notebooks").mkdir()
    (folder / NOTEBOOK).write_bytes((ROOT / NOTEBOOK).read_bytes())
    for shared in ("data", "runs"):
        (ROOT / shared).mkdir(exist_ok=True)
        (folder / shared).symlink_to(ROOT / shared)
    with serve(folder) as address, browse(CHROMIUM) as (page, troubles):
        page.goto(address.format(NOTEBOOK))
        page.get_by_text("| Idle").wait_for(timeout=90_000)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        cells = page.locator(".jp-CodeCell")
        last = cells.count() - 1
        prompt = cells.nth(last).locator(".jp-InputPrompt").first
        deadline = time.monotonic() + 600
        while not re.search(rf"\[{last + 1}\]", prompt.inner_text()):
            assert time.monotonic() < deadline, f"not all cells have run: {prompt.inner_text()}"
            time.sleep(1)
        kernel = Kernel(folder / "runtime")
        try:
            yield page, troubles, kernel
        finally:
            kernel.close()


@pytest.fixture
def explorer(lesson):
    """The first explorer of the lesson, as at the beginning."""
    page, troubles, kernel = lesson
    shown = page.locator(".widget-vbox:has(> .widget-image)").first
    shown.scroll_into_view_if_needed()
    explorer = Shown(shown, kernel)
    explorer.button("reset").click()
    explorer.agrees(**kernel("explorer.start"))
    yield explorer
    assert troubles == []


class Shown:
    """An explorer in the page beside the one in Python."""

    def __init__(self, box, kernel):
        self.box, self.kernel = box, kernel
        kernel.run("from hashlib import sha256; from mfkit.explore.explorer import _png")

    def agrees(self, **expected) -> tuple[dict, str]:
        """Numbers and digest of the picture, once page and Python both show the expected state.

        Messages need a moment, and JupyterLab lets widgets answer in a thread of their own.
        """
        deadline = time.monotonic() + 30
        while True:
            state, numbers, line, drawn, shown = self.kernel(EVERYTHING)
            seen = sha256(picture(self.box.locator("> .widget-image"))).hexdigest()
            if expected.items() <= state.items() and drawn == shown == seen:
                break
            assert time.monotonic() < deadline, (
                f"{expected} should have come, there is {state}; the picture of the page is the "
                f"explorer's: {seen == shown}, and that of its state: {drawn == shown}"
            )
            time.sleep(0.1)
        assert f"{numbers['score']:.3f}" in self.box.inner_text()
        assert line in self.box.locator("code").text_content()
        return numbers, shown

    def button(self, name: str):
        """A button of the explorer by the words on it."""
        return self.box.get_by_role("button", name=name, exact=True)

    def keep(self, name: str) -> None:
        """A picture for the artefacts."""
        self.box.screenshot(path=SHOTS / f"{name}.png")


def test_no_cell_has_failed(lesson):
    page, troubles, _ = lesson
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / "lesson.png")
    failed = page.locator("[data-mime-type='application/vnd.jupyter.error']")
    assert [cell.inner_text() for cell in failed.all()] == []
    assert page.locator("[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    assert troubles == []


def test_the_block_slider_moves_by_keyboard(explorer):
    explorer.button("gaussian").click()
    _, before = explorer.agrees(panel="gaussian", block=4)
    handle = explorer.box.locator(".widget-slider:visible", has_text="block")
    for block in (3, 2):
        handle.locator("[role=slider]").press("ArrowLeft")
        _, after = explorer.agrees(block=block)
        assert after != before
        assert f"after block {block}" in explorer.box.inner_text()
    explorer.keep("gaussian")


def test_a_muted_edge_changes_scores(explorer):
    explorer.button("messages").click()
    before, drawn = explorer.agrees(panel="messages", muted=())
    explorer.button("C1 → C2").click()
    after, moved = explorer.agrees(muted=((0, 1),))
    assert after["images"][1] != before["images"][1]
    assert moved != drawn
    assert f"C2 {before['images'][1]:.3f} → {after['images'][1]:.3f}" in explorer.box.inner_text()
    explorer.keep("messages")


def test_another_sample_is_picked(explorer):
    before, drawn = explorer.agrees(sample=0)
    explorer.box.get_by_label("sample", exact=True).select_option(index=40)
    after, moved = explorer.agrees(sample=40)
    assert after["score"] != before["score"]
    assert moved != drawn
    explorer.keep("maps")


def test_a_position_is_clicked_on(explorer):
    explorer.button("position").click()
    _, drawn = explorer.agrees(panel="position", position=(0, 0))
    row, column = 3, 5
    width = explorer.kernel("latents.shape[3]")
    explorer.box.locator(".widget-gridbox:visible button").nth(row * width + column).click()
    _, moved = explorer.agrees(position=(row, column))
    assert moved != drawn
    assert f"row {row}, column {column}" in explorer.box.inner_text()
    explorer.keep("position")


def test_a_swapped_view_comes_back(explorer):
    explorer.button("way back").click()
    explorer.box.get_by_label("C3", exact=True).select_option(index=6)
    explorer.agrees(panel="way back", swapped=((2, 5),))
    explorer.keep("way back")


def test_an_error_is_seen_and_goes_away(explorer):
    cameras = [explorer.button(f"C{view}").last for view in range(1, 6)]
    for camera in cameras:
        camera.click()
    alarm = explorer.box.get_by_role("alert")
    alarm.wait_for()
    assert "at least one view" in alarm.inner_text()
    explorer.keep("error")
    cameras[0].click()
    alarm.wait_for(state="detached")
    explorer.agrees(absent=(1, 2, 3, 4))
