"""The page without a kernel in a real browser: opened from disk, as a reader would."""

from dataclasses import replace

import pytest
from lab import ROOT, browse, find_chromium
from sets import features, small_flow, small_set

from mfkit.explore import Latents, Question
from mfkit.explore.choice import choose
from mfkit.explore.page import collect, write_page
from mfkit.features import Split
from mfkit.flow import ViewGraph

CHROMIUM = find_chromium()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]
FLOWS = {"separated": small_flow(ViewGraph.empty(5)), "wheel": small_flow(ViewGraph.wheel())}
EVIL = "<img src=x onerror=alert(1)>"
SHOTS = ROOT / "runs" / "browser"
OUTSIDE = """([wide, high]) => [...document.querySelectorAll(
    "button, input, a, [role=button], .tile, figcaption, h1, h2, h3, table, .score, #bar, p")]
    .filter(node => node.checkVisibility() && !node.closest("dialog") &&
        !node.matches(".unseen")).map(node => [node.textContent, node.getBoundingClientRect()])
    .filter(([, box]) => box.left < 0 || box.top < 0 || box.right > wide || box.bottom > high)
    .map(([text, box]) => `${text} ${box.right} ${box.bottom}`)"""
CUT = """() => [...document.querySelectorAll(
    "figcaption, .score p, #reading, .from")]
    .filter(node => node.scrollWidth > node.clientWidth + 1 && node.clientWidth)
    .map(node => node.textContent)"""
SMALL = """() => [...document.querySelectorAll("body *")].filter(node => node.checkVisibility() &&
    [...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim()))
    .map(node => {
        const svg = node.closest("svg"), wide = svg?.viewBox.baseVal.width;
        const scale = svg ? svg.getBoundingClientRect().width / wide : 1;
        return [node.textContent, scale * parseFloat(getComputedStyle(node).fontSize)];
    }).filter(([, size]) => size < 11.9)"""


@pytest.fixture(scope="module")
def latents(tmp_path_factory):
    kinds = {"sound": 7, "size": 64}
    samples = small_set(tmp_path_factory.mktemp("set"), **kinds).test
    samples[-1] = replace(samples[-1], code=EVIL, number="1", codes=("OK", EVIL) + ("OK",) * 3)
    train = Split(samples[:3], features(3, seed=1))
    return Latents(FLOWS, Split(samples, features(len(samples))), train)


@pytest.fixture(scope="module")
def order(latents):
    """Indices of the samples of the page's parts."""
    return list(choose(latents))


@pytest.fixture(scope="module")
def written(latents, tmp_path_factory):
    return write_page(latents, tmp_path_factory.mktemp("page") / "explorer.html")


@pytest.fixture(scope="module")
def browser(written):
    SHOTS.mkdir(parents=True, exist_ok=True)
    with browse(CHROMIUM) as (page, troubles):
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: troubles.append(dialog.message))
        yield page, troubles, asked


@pytest.fixture
def page(browser, written):
    """The page as at the beginning; in the end nothing has gone wrong, and no host was asked."""
    page, troubles, asked = browser
    page.set_viewport_size({"width": 1366, "height": 768})
    page.goto("about:blank")
    page.goto(written.as_uri())
    yield page
    assert troubles == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "about:"))] == []


def score(page, flow: str, rule: str) -> str:
    return page.locator(f"[data-score='{flow} {rule}'] b").inner_text().replace("\u2212", "-")


def captions(page, row: str) -> list[str]:
    texts = page.locator(f"[data-row='{row}'] figcaption").all_inner_texts()
    return [text.replace("\u2212", "-") for text in texts]


def edge(page, j: int, i: int):
    return page.locator(f"#graph [data-edge='{j}-{i}'] .hit")


def test_it_shows_what_the_flows_say(page, latents, order):
    for flow in FLOWS:
        answer = latents.whole[flow][order[0]]
        assert score(page, flow, "max") == f"{answer.score:.2f}"
        assert score(page, flow, "mean") == f"{answer.images.mean():.2f}"
        shown = [f"C{v + 1} {value:.2f}" for v, value in enumerate(answer.images)]
        assert captions(page, flow) == shown
    agreed = latents.agrees(Question("wheel", order[0])).samples.item()
    assert float(score(page, "wheel", "agreement")) == pytest.approx(agreed, abs=0.06)
    page.screenshot(path=SHOTS / "page.png")


def test_a_clicked_arrow_is_muted_and_the_views_say_so(page, latents, order):
    before = latents.whole["wheel"][order[0]]
    after = latents.ask(Question("wheel", order[0], muted=((0, 2),)))
    edge(page, 0, 2).click()
    assert "change=mute-C1-C3" in page.url
    assert score(page, "wheel", "max") == f"{before.score:.2f} \u2192 {after.score:.2f}"
    for text, was, now in zip(
        captions(page, "wheel now"), before.images, after.images, strict=True
    ):
        assert f"{now:.2f}" in text
        assert abs(now - was) < 0.005 or f"{now - was:+.2f}" in text
    assert captions(page, "separated before") == captions(page, "separated now")
    assert page.locator("[data-edge='0-2']").get_attribute("aria-pressed") == "true"
    page.screenshot(path=SHOTS / "page-muted.png")
    edge(page, 0, 2).click()
    assert "change" not in page.url
    assert score(page, "wheel", "max") == f"{before.score:.2f}"


def test_it_works_by_keyboard(page):
    page.locator("[data-edge='1-0']").focus()
    page.keyboard.press("Enter")
    assert "change=mute-C2-C1" in page.url
    assert page.evaluate("document.activeElement.dataset.edge") == "1-0"
    page.keyboard.press("Enter")
    assert "change" not in page.url
    page.locator("#graph [data-view='3']").focus()
    page.keyboard.press(" ")
    assert "view=C4" in page.url
    page.locator("[data-row='wheel'] [data-view='3']").focus()
    start = page.evaluate("[state.row, state.column]")
    page.keyboard.press("ArrowUp" if start[0] else "ArrowDown")
    assert page.evaluate("state.row") == start[0] + (-1 if start[0] else 1)
    assert page.evaluate("document.activeElement.dataset.view") == "3"


def test_a_swapped_view_is_framed_and_named(page, latents, order):
    page.locator("#graph [data-view='1'] circle").click()
    page.locator("#change [data-change='swap-C2-2']").click()
    framed = page.locator("#maps .swapped")
    assert framed.count() == 2  # one a flow, in the row "now" only
    data = collect(latents, choose(latents))
    mate = data["parts"][0]["donors"][1]
    assert data["parts"][mate]["title"] in framed.first.inner_text()
    answer = latents.ask(Question("wheel", order[0], swapped=((1, order[mate]),)))
    agreed = latents.agrees(Question("wheel", order[0], swapped=((1, order[mate]),)))
    shown = score(page, "wheel", "agreement").split()[-1]
    assert float(shown) == pytest.approx(agreed.samples.item(), abs=0.06)
    assert f"{answer.images[1]:.2f}" in captions(page, "wheel now")[1].replace("C2 ", "")
    alone = latents.ask(Question("separated", order[0], swapped=((1, order[mate]),)))
    assert score(page, "separated", "max").endswith(f"{alone.score:.2f}")
    page.screenshot(path=SHOTS / "page-swapped.png")


def test_a_missing_camera_counts_nowhere(page, latents, order):
    page.locator("#change [data-change^='gone-']").click()
    gone = page.evaluate("state.view")
    answer = latents.ask(Question("wheel", order[0], absent=(gone,)))
    assert score(page, "wheel", "max").endswith(f"{answer.score:.2f}")
    assert page.get_by_text("camera missing").count() == 3  # one a flow, and the enlarged one
    page.screenshot(path=SHOTS / "page-gone.png")


def test_a_position_is_read_where_one_clicks(page, latents, order):
    tile = page.locator("[data-row='wheel'] [data-view='2']")
    box = tile.bounding_box()
    tile.click(position={"x": box["width"] * 0.5, "y": box["height"] * 0.6})
    assert "view=C3" in page.url and "at=2,1" in page.url
    assert page.locator("#place").inner_text() == "C3, row 2, column 1"
    value = latents.whole["wheel"][order[0]].map[2, 2, 1]
    cells = page.locator("#reading tbody tr").nth(1).locator("td").all_inner_texts()
    assert cells[0].replace("\u2212", "-") == f"{value:.2f}"


def test_the_address_brings_the_state_back(page, written, latents, order):
    page.locator("#parts button").nth(2).click()
    page.locator("#graph [data-view='4'] circle").click()
    page.locator("#change [data-change='swap-C5-1']").click()
    page.locator("#kind-agreement").check()
    page.locator("#outline").uncheck()
    kept, state = page.url, page.evaluate("state")
    seen = captions(page, "wheel now")
    page.goto("about:blank")
    page.goto(kept)
    assert page.evaluate("state") == state
    assert captions(page, "wheel now") == seen
    page.go_back()
    page.goto(written.as_uri())
    edge(page, 0, 1).click()
    edge(page, 2, 0).click()
    page.go_back()
    assert page.locator("[data-edge='0-1']").get_attribute("aria-pressed") == "true"
    page.go_forward()
    assert page.locator("[data-edge='2-0']").get_attribute("aria-pressed") == "true"


def test_an_address_that_means_nothing_is_the_beginning(page, written):
    page.goto("about:blank")
    page.goto(
        written.as_uri() + "#part=nobody&change=swap-C9-7&view=__proto__&at=x,99&map=toString"
    )
    state = page.evaluate("state")
    assert (state["part"], state["change"], state["map"], state["row"]) == (0, "", "score", 0)


def test_controls_can_be_hidden(page, written):
    every = page.locator("#hide-names").text_content().split(", ")
    assert {"parts", "graph", "change", "try", "numbers", "position", "options"} <= set(every)
    wide = page.locator("#maps .tile").first.bounding_box()["width"]
    page.goto(written.as_uri() + "?hide=graph,change,try#view=C2")
    assert not page.locator("#graph").is_visible()
    assert not page.locator("#try").is_visible()
    assert page.locator("#numbers").is_visible()
    assert page.locator("#maps .tile").first.bounding_box()["width"] > wide
    assert page.evaluate("names[state.view]") == "C2"


@pytest.mark.parametrize(
    "state",
    [
        "",
        "#change=swap-C2-2&view=C2",
        "#change=silent&map=change",
        "#change=gone-C3&view=C3&map=agreement",
    ],
)
@pytest.mark.parametrize("size", [(1366, 768), (1024, 768)])
def test_all_of_it_fits_on_one_screen(page, written, size, state):
    page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    page.goto("about:blank")
    page.goto(written.as_uri() + state)
    page.screenshot(path=SHOTS / f"page-{size[0]}-{len(state)}.png")
    assert page.locator("#maps .tile").first.bounding_box()["width"] > 60
    assert page.evaluate(OUTSIDE, list(size)) == []
    assert page.evaluate(CUT) == []
    assert page.evaluate(SMALL) == []
    edge = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert edge[0] <= edge[1]


def test_what_the_data_says_is_text_and_nothing_else(page, latents, order):
    titles = [latents.samples[index].title for index in order]
    page.locator("#parts button").nth(titles.index(f"{EVIL} 1")).click()
    assert EVIL in page.locator("#truth").inner_text()
    assert page.locator("img[src=x]").count() == 0


def test_everything_has_a_name_for_those_who_do_not_see_it(page):
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, [role=button], input, svg[role=img]")]
        .filter(node => !(node.getAttribute("aria-label") || node.textContent.trim() ||
            node.labels?.length)).map(node => node.outerHTML)"""
    )
    assert nameless == []
    assert page.evaluate("[...document.images].filter(i => i.alt === null).length") == 0
    page.locator("#open-help").click()
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("Escape")
    assert not page.get_by_role("dialog").is_visible()
