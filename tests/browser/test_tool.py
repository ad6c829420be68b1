"""The explorer in a notebook, in a real browser: it fits on a screen, and a click is an answer."""

import time

import nbformat
import pytest
from lab import ROOT, Kernel, browse, find_chromium, run_all, serve

CHROMIUM = find_chromium()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]
SHOTS = ROOT / "runs" / "browser"
CELL = f"""
import sys
from pathlib import Path
from tempfile import mkdtemp

sys.path[:0] = ["{ROOT}", "{ROOT}/tests/support"]
from sets import features, small_flow, small_set

from mfkit.explore import LatentExplorer, Latents
from mfkit.features import Split
from mfkit.flow import ViewGraph

category = small_set(Path(mkdtemp()), sound=6, size=96)
flows = {{"separated": small_flow(ViewGraph.empty(5)), "wheel": small_flow(ViewGraph.wheel(), 1)}}
n = len(category.test)
latents = Latents(
    flows, Split(category.test, features(n)), Split(category.train, features(3, seed=1))
)
explorer = LatentExplorer(latents)
explorer
"""
PANELS = ("maps", "view", "gaussian", "terms", "set", "position", "messages", "way back")
SIZES = [(1366, 768), (1024, 768)]
# what of an explorer is not on the screen: cut off by its box, by the window, or scrolled away
OUTSIDE = """box => {
    const seen = box.closest(".jp-WindowedPanel-outer, .jp-Notebook").getBoundingClientRect();
    const all = "button, input, select, img, svg.flow-graph, code, .widget-html";
    return [...box.querySelectorAll(all)]
        .filter(node => node.checkVisibility({visibilityProperty: true})
            && !node.closest(".places") && node.getBoundingClientRect().width)
        .map(node => [node, node.getBoundingClientRect()])
        .filter(([, b]) => b.left < seen.left - 1 || b.right > Math.min(seen.right, innerWidth) + 1
            || b.top < seen.top - 1 || b.bottom > Math.min(seen.bottom, innerHeight) + 1)
        .map(([node, b]) => `${node.tagName} ${node.textContent} ${b.right} ${b.bottom}`)
}"""
COVERED = """box => [...box.querySelectorAll("button, input, select")]
    .filter(node => node.checkVisibility() && !node.closest(".places")
        && node.getBoundingClientRect().width)
    .filter(node => {
        const b = node.getBoundingClientRect();
        const top = document.elementFromPoint((b.left + b.right) / 2, (b.top + b.bottom) / 2);
        return !(top && (node.contains(top) || top.contains(node)));
    }).map(node => node.textContent || node.title)"""
SMALL = """box => [...box.querySelectorAll("*")].filter(node => node.checkVisibility() &&
    [...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim()))
    .map(node => {
        const svg = node.closest("svg"), wide = svg?.viewBox.baseVal.width;
        const scale = svg ? svg.getBoundingClientRect().width / wide : 1;
        return [node.textContent, scale * parseFloat(getComputedStyle(node).fontSize)];
    }).filter(([, size]) => size < 9)"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A notebook with one explorer in it: its page, its troubles, its kernel."""
    folder = tmp_path_factory.mktemp("tool")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    book.metadata.kernelspec = {"display_name": "Python 3", "name": "python3"}
    nbformat.write(book, folder / "tool.ipynb")
    SHOTS.mkdir(parents=True, exist_ok=True)
    with serve(folder) as address, browse(CHROMIUM) as (page, troubles):
        run_all(page, address.format("tool.ipynb"))
        page.locator(".mfkit-picture img").first.wait_for(timeout=90_000)
        kernel = Kernel(folder / "runtime")
        try:
            yield page, troubles, kernel
        finally:
            kernel.close()


@pytest.fixture
def tool(opened):
    """The explorer as at the beginning; in the end nothing has gone wrong."""
    page, troubles, kernel = opened
    page.set_viewport_size({"width": 1366, "height": 768})
    kernel.run("explorer.restore()")
    yield Tool(page, kernel)
    assert troubles == []


class Tool:
    """An explorer in the page beside the one in Python."""

    def __init__(self, page, kernel):
        self.page, self.kernel = page, kernel
        self.box = page.locator(".widget-vbox:has(.flow-graph)").first

    def comes(self, **expected) -> dict:
        """Wait until Python's state is as expected, and all of it is drawn."""
        deadline = time.monotonic() + 60
        while True:
            state = self.kernel("explorer.state()")
            if expected.items() <= state.items() and self.drawn():
                return state
            assert time.monotonic() < deadline, f"{expected} should have come, there is {state}"
            time.sleep(0.05)

    def drawn(self) -> bool:
        """Does the page show the line of code of the state?"""
        return self.kernel("explorer.line()") == self.box.locator("code").text_content()

    def edge(self, sender: int, receiver: int):
        return self.box.locator(f"[data-edge='{sender}-{receiver}']")

    def view(self, view: int):
        return self.box.locator(f".flow-graph [data-view='{view}']")

    def button(self, name: str):
        return self.box.get_by_role("button", name=name, exact=True)

    def to_the_top(self) -> None:
        self.box.evaluate("box => box.scrollIntoView({block: 'start'})")
        self.page.wait_for_timeout(300)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}")
@pytest.mark.parametrize("panel", PANELS)
def test_everything_fits_on_one_screen(tool, panel, size):
    tool.page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    state = {"panel": panel, "against": "separated", "muted": ((0, 1),), "swapped": ((1, 4),)}
    tool.kernel.run(f"explorer.restore({state})")
    tool.comes(panel=panel)
    tool.to_the_top()
    tool.page.screenshot(path=SHOTS / f"tool-{size[0]}-{panel.replace(' ', '-')}.png")
    assert tool.box.evaluate(OUTSIDE) == []
    assert tool.box.evaluate(COVERED) == []
    assert tool.box.evaluate(SMALL) == []
    picture = tool.box.locator(".mfkit-picture img").last.bounding_box()
    assert 9 / 72 * 100 * picture["width"] / 800 >= 9  # its letters have 9 points at 100 dpi


def test_a_click_on_an_arrow_mutes_it(tool):
    before = tool.kernel("explorer.numbers()")
    tool.edge(0, 1).locator(".hit").click(force=True)
    tool.comes(muted=((0, 1),))
    assert tool.edge(0, 1).get_attribute("aria-pressed") == "true"
    after = tool.kernel("explorer.numbers()")
    assert after["images"][1] != before["images"][1]
    assert f"<b>{after['score']:.3f}</b>" in tool.box.locator(".mfkit-words").first.inner_html()
    tool.edge(2, 1).focus()
    tool.page.keyboard.press("Enter")
    tool.comes(muted=((0, 1), (2, 1)))
    assert tool.page.evaluate("document.activeElement.dataset.edge") == "2-1"
    tool.page.keyboard.press(" ")
    tool.comes(muted=((0, 1),))


def test_a_click_on_a_view_chooses_it(tool):
    tool.view(3).click()
    tool.comes(view=3)
    assert tool.button("no camera C4").is_visible()
    assert not tool.button("no camera C1").is_visible()
    tool.view(2).focus()
    tool.page.keyboard.press("Enter")
    tool.comes(view=2)


def test_a_position_is_clicked_on_and_walked_to(tool):
    tile = tool.box.locator("[data-area='7 view 2']")
    box = tile.bounding_box()
    tile.click(position={"x": 0.5 * box["width"], "y": 0.9 * box["height"]})
    tool.comes(view=2, position=(3, 1))
    tile.focus()
    tool.page.keyboard.press("ArrowUp")
    tool.comes(position=(2, 1))
    tool.page.keyboard.press("ArrowRight")
    tool.comes(position=(2, 2))
    close = tool.box.locator(".mfkit-picture").first.locator("button")
    box = close.bounding_box()
    close.click(position={"x": 3, "y": 3})
    tool.comes(position=(0, 0))


def test_a_dot_is_a_part(tool):
    tool.button("set").click()
    tool.comes(panel="set")
    dot = tool.box.locator("button.dot").nth(4)
    assert dot.get_attribute("title") == tool.kernel("latents.samples[4].title")
    dot.click(force=True)
    tool.comes(sample=4)


def test_a_mistake_is_undone(tool):
    tool.button("swapped views").click()
    tool.comes(panel="messages")
    tool.box.get_by_title("undo", exact=True).click()
    tool.comes(panel="maps", swapped=())
    tool.box.get_by_title("redo", exact=True).click()
    tool.comes(panel="messages")
    tool.button("bookmark").click()
    tool.button("start over").click()
    tool.comes(panel="maps")
    tool.button("bookmark 1").click()
    tool.comes(panel="messages")


def test_an_error_is_a_sentence_and_goes_away(tool):
    tool.kernel.run("explorer.change(absent=(0, 1, 2, 3))")
    tool.view(4).click()
    tool.comes(absent=(0, 1, 2, 3), view=4)
    tool.button("no camera C5").click()
    alarm = tool.box.get_by_role("alert")
    alarm.wait_for()
    assert alarm.inner_text().startswith("No camera is left")
    tool.button("no camera C5").click()
    alarm.wait_for(state="detached")


def test_the_picture_for_readers_without_a_kernel_is_hidden_beside_the_tool(tool):
    pictures = tool.page.locator(".jp-RenderedImage img")
    assert pictures.count() == 1 and not pictures.is_visible()
