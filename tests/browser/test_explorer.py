"""Lesson 6 in a real browser: after Run All, the text, the source and the screen say the same."""

import ast
import re
import time
from hashlib import sha256

import nbformat
import pytest
from lab import ROOT, Kernel, browse, find_chromium, picture, run_all, serve

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
        run_all(page, address.format(NOTEBOOK))
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
def shown(lesson):
    """The explorers of the page: for each its cell's source, its box, and its line of code."""
    page, _, kernel = lesson
    kernel.run(PREPARE)
    cells = page.locator(".jp-CodeCell:has(.flow-graph)")
    sources = [
        cell.source
        for cell in nbformat.read(ROOT / NOTEBOOK, 4).cells
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


def test_no_cell_has_failed(lesson):
    page, troubles, _ = lesson
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / "lesson.png")
    failed = page.locator("[data-mime-type='application/vnd.jupyter.error']")
    assert [cell.inner_text() for cell in failed.all()] == []
    assert page.locator("[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    assert troubles == []


def test_every_question_has_an_explorer_of_its_own(lesson, shown):
    """What a cell's source says is what its tool shows, whatever later cells have done."""
    _, _, kernel = lesson
    drawn = {line: pictures for line, *pictures in kernel(EXPLORERS)}
    for source, box, line in shown:
        seen = ast.literal_eval(line.removeprefix("explorer.restore(").removesuffix(")"))
        asked = state_in(source, kernel)
        assert seen.items() <= asked.items(), source
        assert all(not asked[name] or name == "model" for name in asked.keys() - seen.keys())
        digest = sha256(picture(box.locator(".mfkit-picture img").last)).hexdigest()
        assert drawn[line] == [digest, digest], source


def test_a_click_moves_one_explorer_and_no_other(lesson, shown):
    _, troubles, _ = lesson
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
