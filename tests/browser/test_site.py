"""The web book in a real browser, opened from disk: it asks no host, formulas and links work."""

import re
from urllib.parse import unquote, urlparse

import book
import pytest
from lab import ROOT, browse, find_chromium

CHROMIUM = find_chromium()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]
SHOTS = ROOT / "runs" / "browser"
LINKS = """() => [...document.querySelectorAll("a[href], img[src], script[src], link[href]")]
    .map(node => node.href || node.src)"""
FORMULAS = """() => [...document.querySelectorAll("math")].filter(node => {
    const box = node.getBoundingClientRect();
    return box.width < 3 || box.height < 5 || node.querySelector("merror");
}).map(node => node.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return book.build(tmp_path_factory.mktemp("site")).parent


@pytest.fixture(scope="module")
def browser(site):
    SHOTS.mkdir(parents=True, exist_ok=True)
    with browse(CHROMIUM) as (page, troubles):
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        yield page, troubles, asked


def test_every_page_opens_from_disk_and_asks_no_host(browser, site):
    """All pages are visited; nothing is fetched but files, and every inner link leads somewhere."""
    page, troubles, asked = browser
    pages = [path for path in sorted(site.rglob("*.html")) if "_static" not in path.parts]
    assert len(pages) > 20
    formulas = 0
    for path in pages:
        page.goto(path.as_uri())
        for link in page.evaluate(LINKS):
            target = urlparse(link)
            if target.scheme == "file":
                assert (ROOT / unquote(target.path)).exists(), f"{path.name}: {link}"
        assert page.evaluate(FORMULAS) == [], path
        formulas += page.locator("math").count()
        for article in page.locator("article").all():  # the explorer's page has none
            assert not re.search(r"\$\$|\\frac|\\mathrm", article.inner_text())
    assert formulas > 200
    assert troubles == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "about:"))] == []


def test_lessons_lead_to_each_other_and_figures_say_what_they_show(browser, site):
    page, _, _ = browser
    page.set_viewport_size({"width": 1366, "height": 768})
    page.goto((site / "index.html").as_uri())
    page.screenshot(path=SHOTS / "site-index.png")
    for title in (
        "1 Look at an object from five sides",
        "2 Turn a density inside out",
        "3 Score every position",
    ):
        page.locator("article").get_by_role("link", name=title, exact=True).first.click()
        page.wait_for_function("title => document.title.startsWith(title)", arg=title)
        page.wait_for_load_state()
        figures = page.locator("article .cell_output img")
        assert figures.count() > 5
        for figure in figures.all():
            assert len(figure.get_attribute("alt") or "") > 20
            assert figure.evaluate("image => image.complete && image.naturalWidth > 0")
    page.screenshot(path=SHOTS / "site-lesson.png")


def test_the_summary_prints_on_one_sheet(browser, site):
    page, _, _ = browser
    page.goto((site / "notebooks" / "teaching" / "summary.html").as_uri())
    printed = page.pdf(format="A4", margin=dict.fromkeys(("top", "bottom", "left", "right"), "1cm"))
    (SHOTS / "summary.pdf").write_bytes(printed)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1


def test_the_search_finds_a_word(browser, site):
    page, troubles, _ = browser
    page.goto((site / "search.html").as_uri() + "?q=soft+clamp")
    page.locator("#search-results li").first.wait_for(timeout=10_000)
    assert troubles == []
