"""Lesson 6 in a real browser: after Run All, the text, the source and the screen say the same."""

import ast
import time
from hashlib import sha256

import nbformat
import pytest
from lab import ROOT, Kernel, assert_no_trouble, find_chromium, lesson, picture

CHROMIUM = find_chromium()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]
EXPLORERS = """[
    (e.line(), sha256(e.parts.picture.value).hexdigest(), sha256(e.scene().picture()).hexdigest())
    for e in _instances.values() if isinstance(e, LatentExplorer)]"""
PREPARE = """
from hashlib import sha256
from ipywidgets.widgets.widget import _instances
"""
SHOTS = ROOT / "runs" / "browser"
NOTEBOOK = ROOT / "notebooks" / "06_explorer.ipynb"


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Lesson 6, all of its cells run: its page, troubles and kernel."""
    folder = tmp_path_factory.mktemp("lab")
    with lesson("06_explorer", folder) as (page, troubles):
        kernel = Kernel(folder / "runtime")
        try:
            yield page, troubles, kernel
        finally:
            kernel.close()


@pytest.fixture
def shown(opened):
    """The explorers of the page: for each its cell's source, its box, and its line of code."""
    page, _, kernel = opened
    kernel.run(PREPARE)
    cells = page.locator(".jp-CodeCell:has(.flow-graph)")
    sources = [
        cell.source
        for cell in nbformat.read(NOTEBOOK, 4).cells
        if any("its picture" in str(output.get("data")) for output in cell.get("outputs", []))
    ]
    boxes = [cell.locator(".widget-vbox:has(.flow-graph)").first for cell in cells.all()]
    assert len(boxes) == len(sources) >= 9
    return [
        (source, box, box.locator("code").text_content())
        for source, box in zip(sources, boxes, strict=True)
    ]


def state_in(source: str, kernel) -> dict:
    """The state that a cell gives to its explorer, as the kernel understands it."""
    call = next(
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "LatentExplorer"
    )
    return kernel(ast.unparse(call.args[1]))


def test_no_cell_has_failed(opened):
    page, troubles, _ = opened
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / "lesson.png")
    assert_no_trouble(page, troubles)


def test_every_question_has_an_explorer_of_its_own(opened, shown):
    """What a cell's source says is what its tool shows, whatever later cells have done."""
    _, _, kernel = opened
    drawn = {line: pictures for line, *pictures in kernel(EXPLORERS)}
    for source, box, line in shown:
        seen = ast.literal_eval(line.removeprefix("explorer.restore(").removesuffix(")"))
        asked = state_in(source, kernel)
        assert seen.items() <= asked.items(), source
        assert all(not asked[name] or name == "model" for name in asked.keys() - seen.keys())
        digest = sha256(picture(box.locator(".mfkit-picture img").last)).hexdigest()
        assert drawn[line] == [digest, digest], source


def test_a_click_moves_one_explorer_and_no_other(opened, shown):
    _, troubles, _ = opened
    _, box, before = shown[0]
    box.scroll_into_view_if_needed()
    box.screenshot(path=SHOTS / "lesson-tool.png")
    box.locator("[data-edge='0-1'] .hit").click(force=True)
    deadline = time.monotonic() + 60
    while (after := box.locator("code").text_content()) == before:
        assert time.monotonic() < deadline, "a click should mute the message"
        time.sleep(0.1)
    assert "'muted': ((0, 1),)" in after
    assert [box.locator("code").text_content() for _, box, _ in shown[1:]] == [
        line for _, _, line in shown[1:]
    ]
    assert troubles == []
