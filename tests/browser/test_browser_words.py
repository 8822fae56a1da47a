"""Words of the glossary, links from code to the library, and the first page, in a browser."""

import re
from urllib.parse import unquote, urldefrag

import pytest
import yaml
from opened_page import ROOT

PAGE = "02-outlier-features"


@pytest.fixture
def reader(browser, address):
    """A page with words of the glossary and code."""
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    page.goto(f"{address}/{PAGE}.html")
    yield page
    page.close()


def word_and_meaning(page):
    word = page.locator("article a:has(> .std-term)").first
    word.scroll_into_view_if_needed()
    return word, page.locator(f"[id='{word.get_attribute('aria-describedby')}']")


def test_a_word_says_what_it_means_when_pointed_at(reader):
    word, meaning = word_and_meaning(reader)
    assert not meaning.is_visible() and meaning.get_attribute("role") == "tooltip"
    word.hover()
    assert meaning.is_visible() and len(meaning.inner_text().split()) > 8
    there, here = word.bounding_box(), meaning.bounding_box()
    assert here["x"] >= 0 and abs(here["y"] - there["y"]) < 300
    meaning.hover()  # the pointer moves over to what appeared
    reader.wait_for_timeout(500)
    assert meaning.is_visible()
    reader.keyboard.press("Escape")
    assert not meaning.is_visible()
    word.hover()
    assert meaning.is_visible()
    reader.mouse.move(5, 5)
    meaning.wait_for(state="hidden", timeout=2000)


def test_a_word_says_what_it_means_by_keyboard(reader):
    word, meaning = word_and_meaning(reader)
    reader.keyboard.press("Shift")  # a reader who uses the keyboard
    word.focus()
    assert meaning.is_visible()
    reader.mouse.move(5, 5)
    reader.wait_for_timeout(500)
    assert meaning.is_visible(), "as long as the word has the focus"
    reader.keyboard.press("Escape")
    assert not meaning.is_visible()
    reader.keyboard.press("Shift+Tab")
    reader.keyboard.press("Tab")
    assert meaning.is_visible()
    reader.keyboard.press("Tab")
    assert not meaning.is_visible()


def test_a_touch_follows_the_link(browser, address):
    context = browser.new_context(has_touch=True, is_mobile=True, viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.goto(f"{address}/{PAGE}.html")
    word, _ = word_and_meaning(page)
    word.tap()
    page.wait_for_url(re.compile(r"glossary\.html#term-"))
    context.close()


def test_every_word_of_every_page_has_its_meaning(opened):
    words = opened.page.locator("article a:has(> .std-term)")
    meaning = "document.getElementById(word.getAttribute('aria-describedby'))?.textContent"
    described = words.evaluate_all(f"words => words.map(word => {meaning})")
    assert all(meaning and not re.search(r"[\\{}$]", meaning) for meaning in described)


def test_names_in_code_lead_to_the_library(opened, site):
    links = opened.page.locator("article .cell_input a.sphinx-codeautolink-a")
    targets = links.evaluate_all("links => [...new Set(links.map(link => link.href))]")
    assert targets or not re.match(r"0\d-", opened.name)
    for target in targets:
        path, anchor = urldefrag(unquote(target))
        file = site / path.split("/", 3)[3]
        assert file.parent.name == "api" and f'id="{anchor}"' in file.read_text("utf-8"), target


def test_a_kernel_in_code_leads_to_its_description(reader):
    reader.locator("a.sphinx-codeautolink-a", has_text="activation_kurtosis").first.click()
    assert reader.url.endswith("api/kernels.html#featurelens.kernels.activation_kurtosis")
    name = "dt[id='featurelens.kernels.activation_kurtosis']"
    assert "h_ND" in reader.locator(name).inner_text()
    assert "kurtosis of each image" in reader.locator(f"{name} + dd").inner_text()


def test_the_first_page_has_a_figure_and_three_doors(home, site, address):
    panels = home.page.locator("figure.fl-landing svg[role=img]")
    assert panels.count() == 2
    assert all(len(panels.nth(n).get_attribute("aria-label").split()) > 15 for n in range(2))
    doors = home.page.locator("article .sd-card a.sd-stretched-link")
    targets = [unquote(link) for link in doors.evaluate_all("doors => doors.map(door => door.href)")]
    assert len(set(targets)) == len(targets) == 3
    for target in targets:
        name = target.removeprefix(f"{address}/")
        assert (site / name).is_file() and name != "index.html"
    assert re.search(r"\b[1-9]\d\d claims\b", home.page.locator("article").inner_text())


def test_every_part_of_the_library_is_in_the_contents():
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    entries = [entry for part in contents["parts"] for entry in part["chapters"]]
    library = next(entry for entry in entries if entry["file"] == "api/index")
    listed = {section["file"] for section in library["sections"]}
    assert listed == {f"api/{page.stem}" for page in (ROOT / "book" / "api").glob("*.md")} - {"api/index"}
