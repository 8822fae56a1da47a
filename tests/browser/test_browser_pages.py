"""Every page of the built site in a browser: nothing fails or is fetched elsewhere, all can be seen."""

import html
import re
from urllib.parse import unquote, urldefrag

import pytest
from opened_page import PHONE, page_names

# Contrast of every kind of text that `selector` finds, by WCAG's formula, least first.
CONTRAST = """selector => {
    const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [[r, 0.2126], [g, 0.7152], [b, 0.0722]].reduce((sum, [value, weight]) => {
        const share = value / 255;
        return sum + weight * (share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4);
    }, 0);
    const behind = element => {
        for (let at = element; at; at = at.parentElement) {
            const colour = numbers(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    const found = {};
    for (const element of document.querySelectorAll(selector)) {
        if (!element.checkVisibility() || !element.textContent.trim()) continue;
        const style = getComputedStyle(element), drawn = element instanceof SVGElement;
        const colours = [drawn ? style.fill : style.color, behind(element)];
        const [one, other] = [light(numbers(colours[0])), light(colours[1])].sort((a, b) => b - a);
        found[`${element.className.baseVal ?? element.className}: ${colours.join(" on ")}`] =
            (one + 0.05) / (other + 0.05);
    }
    return Object.entries(found).sort((a, b) => a[1] - b[1]);
}"""


@pytest.fixture(scope="module")
def anchors(site):
    """The ids of every file of the site that a link may name."""
    found = {}
    for file in (site / page for page in _files(site)):
        text = file.read_text("utf-8")
        found[file] = {html.unescape(each) for each in re.findall(r'\s(?:id|name)="([^"]+)"', text)}
    return found


def _files(site):
    """The site's pages; below folders with an underscore is what Sphinx and the theme keep."""
    names = [file.relative_to(site).as_posix() for file in site.rglob("*.html")]
    return [name for name in names if not name.startswith("_")]


def test_every_page_that_was_built_is_opened(site):
    assert sorted(_files(site)) == sorted(f"{name}.html" for name in page_names())


def test_nothing_fails_and_nothing_comes_from_another_host(opened):
    assert not opened.complaints


def test_every_figure_says_what_it_shows(opened):
    pictures = opened.page.evaluate(
        """() => [...document.querySelectorAll("article img, article svg")]
            .filter(each => !each.closest("[aria-hidden=true], button") && !each.parentElement.closest("svg"))
            .map(each => [each.outerHTML.slice(0, 200), each.getAttribute("alt") ?? each.ariaLabel ?? ""])"""
    )
    for markup, words in pictures:
        assert len(words.split()) >= 8, markup
        assert not re.search(r"\.(png|svg|jpe?g)\b|_images/", words), words


def test_every_link_within_the_site_resolves(opened, site, address, anchors):
    links = opened.page.evaluate("[...document.querySelectorAll('a[href]')].map(link => link.href)")
    broken = []
    for link in {link for link in links if link.startswith(address)}:
        path, anchor = urldefrag(unquote(link.removeprefix(address).partition("?")[0] or "/"))
        target = site / (path.lstrip("/") or "index.html")
        if not target.is_file() or (anchor and anchor not in anchors[target]):
            broken.append(link)
    assert not broken


def test_phone_has_no_sideways_scroll(opened):
    opened.dress(viewport=PHONE)
    opened.unfold()
    opened.screenshot("phone")
    wide = opened.page.evaluate("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)")
    opened.dress()
    assert wide <= PHONE["width"]


def test_an_exercise_says_how_difficult_it_is(opened):
    opened.unfold()
    for text in opened.page.locator("div.exercise").all_inner_texts():
        assert re.search(r"Difficulty \d of 3\.", text), text


def test_code_is_seen_as_a_whole(opened):
    opened.unfold()
    wider = "pre => pre.filter(each => each.scrollWidth > each.clientWidth + 1).map(each => each.innerText)"
    assert not opened.page.locator(".highlight pre").evaluate_all(wider)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_and_code_are_legible(opened, scheme):
    opened.dress(scheme)
    opened.unfold()
    opened.screenshot(scheme)
    cards = opened.page.evaluate(
        """() => [...document.querySelectorAll("article .cell_output img")]
            .filter(image => image.checkVisibility()).map(image => getComputedStyle(image))
            .map(style => [style.backgroundColor, style.filter])"""
    )
    # The colours of figures are made for white.
    assert all(card == ["rgb(255, 255, 255)", "none"] for card in cards)
    page = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (page == "rgb(255, 255, 255)") == (scheme == "light")
    for selector in ("article svg text", "article .highlight pre, article .highlight pre span"):
        for kind, contrast in opened.page.evaluate(CONTRAST, selector):
            assert contrast >= 4.5, f"{kind}: {contrast:.2f}"


def test_sliders_move_their_figure_by_keyboard(opened):
    sliders = opened.page.locator("article figure:has(input[type=range])")
    assert sliders.count() > 0 or opened.name != "03-privileged-directions"
    for number in range(sliders.count()):
        slider = sliders.nth(number)
        handle, drawing, said = (
            slider.locator(part) for part in ("input[type=range]", "svg.fl-plot", "output")
        )
        before = drawing.inner_html(), said.inner_text(), handle.get_attribute("aria-valuetext")
        handle.focus()
        for key in ("ArrowLeft", "ArrowLeft", "PageDown"):
            opened.page.keyboard.press(key)
        after = drawing.inner_html(), said.inner_text(), handle.get_attribute("aria-valuetext")
        assert all(was != now for was, now in zip(before, after, strict=True))
        opened.page.keyboard.press("End")
        assert (drawing.inner_html(), said.inner_text()) == before[:2]


def test_search_by_keyboard_finds_a_term_of_the_glossary(home):
    home.page.keyboard.press("Control+k")
    home.page.keyboard.type("activation kurtosis")
    home.page.keyboard.press("Enter")
    home.page.wait_for_selector("#search-results li a[href*='glossary.html#term-activation-kurtosis']")
    assert not home.complaints
