"""A deck in an installed Chromium: nothing from another host, no complaint, and every slide fits."""

import pytest
from playwright.sync_api import sync_playwright

from featurelens import pages, pdf, slides

NAME = "03-privileged-directions"  # formulas, long lists, wide tables
CURRENT = """() => {
    const slide = Reveal.getCurrentSlide();
    return [slide.scrollWidth, slide.scrollHeight, slide.textContent.trim().slice(0, 60)];
}"""


@pytest.fixture
def deck(tmp_path, monkeypatch):
    page = pages.page(NAME)
    if not page.notebook.is_file():
        pytest.skip(f"no notebook of {NAME}")
    monkeypatch.setattr(pages, "pages", lambda: [page])
    return slides.write(tmp_path)[0]


@pytest.mark.skipif(pdf.browser() is None, reason="no chromium on this machine")
def test_a_deck_opens_without_a_network_and_every_slide_fits(deck):
    complaints, seen = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=pdf.browser(), chromium_sandbox=False)
        page = browser.new_context(viewport={"width": 1280, "height": 720}, offline=True).new_page()
        page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda r: r.url.startswith(("file:", "data:")) or complaints.append(r.url))
        page.goto(deck.as_uri())
        page.wait_for_function("Reveal.isReady()")
        while True:
            seen.append(page.evaluate(CURRENT))
            if page.evaluate("Reveal.isLastSlide()"):
                break
            page.evaluate("Reveal.next()")
        formulas = page.locator("mjx-container").count()
        browser.close()
    assert not complaints
    assert formulas > 5 and len(seen) > 30
    assert not [slide for slide in seen if slide[0] > 1280 or slide[1] > 720]
    assert not [slide for slide in seen if not slide[2] and slide[1] < 100], "an empty slide"
