"""Every page of the built site against WCAG 2.2 AA, as far as axe-core can tell, and without motion."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from opened_page import PHONE

OPTIONS = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
    "resultTypes": ["violations"],
    "preload": False,
}
# Regions that scroll, but neither take the focus nor hold anything that does.
UNREACHABLE = """() => [...document.querySelectorAll("article *")].filter(region => {
    const scrolls = /auto|scroll/.test(getComputedStyle(region).overflowX);
    return scrolls && region.scrollWidth > region.clientWidth + 1 && region.checkVisibility()
        && region.tabIndex < 0 && !region.querySelector("a, button, input, [tabindex='0']");
}).map(region => region.outerHTML.slice(0, 200))"""


# Before the pages are thinned.
def test_what_scrolls_can_be_scrolled_by_keyboard(opened):
    opened.dress(viewport=PHONE)
    opened.unfold()
    for _ in range(10):  # the theme looks for what scrolls a moment after a change
        if not (unreachable := opened.page.evaluate(UNREACHABLE)):
            break
        opened.page.wait_for_timeout(300)
    assert not unreachable


def test_nothing_moves_for_who_wants_no_motion(opened):
    opened.dress(motion="reduce")
    moving = opened.page.evaluate(
        """() => [...document.querySelectorAll("*")].filter(element => {
            const style = getComputedStyle(element);
            const times = `${style.transitionDuration}, ${style.animationDuration}`.split(", ");
            return Math.max(...times.map(parseFloat)) > 0.01 || style.scrollBehavior === "smooth";
        }).map(element => element.outerHTML.slice(0, 100))"""
    )
    assert not moving


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_rule_is_broken(opened, scheme):
    opened.dress(scheme, motion="reduce")  # nothing is measured half way between two colours
    opened.unfold()
    # A checker takes minutes for thousands of cells and coloured words; the words are tested with the pages.
    opened.page.evaluate(
        """() => {
            const all = (selector, change) => document.querySelectorAll(selector).forEach(change);
            all(".highlight pre", code => { code.textContent = code.textContent; });
            all("tbody tr:nth-child(n + 6)", row => row.remove());
        }"""
    )
    found = Axe().run(opened.page, options=OPTIONS)
    assert not found.response["violations"], found.generate_report()
