"""The explorers in a browser, each on a page of its own: by mouse, keyboard and fields they show numpy's."""

import re

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import sync_playwright

from featurelens import explorers
from featurelens.concepts import Labels
from featurelens.figures.concept_browser import browser as concept_browser
from featurelens.figures.kurtosis_explorer import explorer as kurtosis_explorer

# Nothing that Chromium does by itself on the network.
FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
PHONE, DESKTOP = {"width": 360, "height": 800}, {"width": 1000, "height": 900}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
N, P, NAMES = 300, 70, ["red", "<b>blue", "cat", "sea", "key", "oak"]
KINDS = ["color", "color", "object", "scene", "object", "object"]


def features(width, seed):
    h_ND = torch.randn(N, width, generator=torch.Generator().manual_seed(seed))
    h_ND[:, 2] += 7
    return h_ND


FEATURES = {"one": features(24, 0), "two & more": features(40, 1)}
SHEET = explorers.sheet(
    [Image.new("RGB", (4, 4), (3 * n, 90, 255 - 3 * n)) for n in range(P)],
    [f"made picture number {n}" for n in range(P)],
)
PRESENT = torch.rand(N, 6, generator=torch.Generator().manual_seed(9)) < 0.4
PRESENT[:, 2] = FEATURES["one"][:, 5] > 0.2
PRESENT[:, 3] = FEATURES["one"][:, 5] < -0.4
PRESENT[:, 4] = FEATURES["two & more"][:, 30] < -0.3
JUDGED = Labels(NAMES, KINDS, PRESENT, torch.ones_like(PRESENT), [])
SEARCHES = {
    name: explorers.search(h_ND, torch.eye(h_ND.shape[1]), JUDGED, P) for name, h_ND in FEATURES.items()
}
Z = {name: explorers.standard_scores(h_ND).numpy() for name, h_ND in FEATURES.items()}


def markup(kind):
    if kind == "kurtosis":
        scores = {name: torch.from_numpy(z_ND[:P]) for name, z_ND in Z.items()}
        return kurtosis_explorer(
            explorers.coordinate_table(FEATURES), scores, SHEET, "Coordinates"
        )._repr_html_()
    return concept_browser(SEARCHES, JUDGED, SHEET, "Concepts")._repr_html_()


# A module's own: while Playwright runs, its event loop keeps other tests from theirs.
@pytest.fixture(scope="module")
def running(chromium):
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=FLAGS, chromium_sandbox=False)
        yield started
        started.close()


def opened(running, folder, kind, times=1, **context):
    """A page with the explorer, and what went wrong or was asked for on it."""
    path = folder / f"{kind}.html"
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Explorer</title>'
    body = markup(kind) * times
    path.write_text(f'<!doctype html><html lang="en">{head}<body><main><h1>Page</h1>{body}</main>', "utf-8")
    page, trouble = running.new_context(viewport=DESKTOP, **context).new_page(), []
    page.on("console", lambda message: message.type == "error" and trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda each: trouble.append(each.url) if each.url != path.as_uri() else None)
    page.goto(path.as_uri())
    page.trouble = [each for each in trouble if not each.startswith("data:")]
    return page


@pytest.fixture
def kurtosis(running, tmp_path):
    page = opened(running, tmp_path, "kurtosis")
    yield page
    page.context.close()


@pytest.fixture
def concepts(running, tmp_path):
    page = opened(running, tmp_path, "concepts")
    yield page
    page.context.close()


@pytest.fixture(params=["kurtosis", "concepts"])
def either(request, running, tmp_path):
    page = opened(running, tmp_path, request.param)
    yield page
    page.context.close()


def drawn(page, place):
    """Which picture of the sheet is really seen: the number its place in the background gives."""
    return page.evaluate(
        """([place, columns, lines]) => {
            const picture = document.querySelectorAll(".fl-pic")[place];
            const [x, y] = getComputedStyle(picture).backgroundPosition.split(" ").map(parseFloat);
            const at = (share, of) => Math.round(share / 100 * Math.max(1, of - 1));
            return at(y, lines) * columns + at(x, columns);
        }""",
        [place, SHEET.columns, SHEET.lines],
    )


def agrees(page, view, j):
    """Everything the kurtosis explorer shows of a coordinate is what numpy computes."""
    z_ND = Z[view]
    fourth_D = (z_ND**4).mean(0)
    share, leads = fourth_D[j] / fourth_D.sum(), (abs(z_ND).argmax(1) == j).mean()
    rule = "an" if (z_ND[:, j] ** 4 >= 3 * z_ND.shape[1]).mean() >= 0.5 else "not an"
    assert page.inner_text("output") == (
        f"{view}: coordinate {j} has {100 * share:.1f} % of the kurtosis and lies furthest from the mean in "
        f"{100 * leads:.1f} % of the images; by the definition {rule} outlier coordinate."
    )
    chart = page.locator(".fl-chart")
    assert chart.get_attribute("aria-valuenow") == str(j) == page.input_value("input")
    assert chart.get_attribute("aria-valuetext") == f"coordinate {j}: {100 * share:.1f} % of the kurtosis"
    assert page.text_content(".fl-at text") == str(j) and page.locator(".fl-bar").count() == z_ND.shape[1]
    assert page.evaluate("[...document.querySelectorAll('.fl-bar')].findIndex(b => b.matches('.fl-on'))") == j
    cells = page.locator(".fl-facts td").all_inner_texts()
    assert cells[1] == f"{np.median(abs(z_ND[:, j])):.2f}"
    assert cells[5].endswith(f"± {z_ND[:, j].std():.2f}")
    order = np.argsort(z_ND[:P, j])
    expected = [*order[::-1][:8].tolist(), *order[:8].tolist()]
    labels = [each.get_attribute("aria-label") for each in page.locator(".fl-pic").all()]
    assert labels == [f"made picture number {n}" for n in expected]
    assert [drawn(page, place) for place in range(16)] == expected
    shown = [float(text.replace("−", "-")) for text in page.locator(".fl-below").all_inner_texts()]
    assert shown == pytest.approx(z_ND[expected, j], abs=0.0501)


def top(view):
    return int((Z[view] ** 4).mean(0).argmax())


def test_kurtosis_starts_with_the_leading_coordinate_and_the_script_changes_no_word_of_it(
    kurtosis, running, tmp_path
):
    agrees(kurtosis, "one", top("one"))
    still = opened(running, tmp_path, "kurtosis", java_script_enabled=False)
    for part in ("output", ".fl-facts", ".fl-pictures"):
        assert still.inner_text(part) == kurtosis.inner_text(part)
    assert still.locator(".fl-controls").is_hidden() and still.locator(".fl-hint").is_visible()
    assert kurtosis.locator(".fl-controls").is_visible() and kurtosis.locator(".fl-hint").count() == 0
    assert not kurtosis.trouble
    still.context.close()


def test_kurtosis_by_mouse(kurtosis):
    box = kurtosis.locator(".fl-plot").bounding_box()
    for j in (0, 17, 23):
        kurtosis.mouse.click(box["x"] + box["width"] * (j + 0.5) / 24, box["y"] + box["height"] / 2)
        agrees(kurtosis, "one", j)


def test_kurtosis_by_keyboard_alone(kurtosis):
    for _ in range(4):
        kurtosis.keyboard.press("Tab")
    assert kurtosis.evaluate("document.activeElement.getAttribute('role')") == "slider"
    j = top("one")
    for key, to in (
        ("ArrowRight", j + 1),
        ("ArrowUp", j + 2),
        ("ArrowLeft", j + 1),
        ("Home", 0),
        ("ArrowDown", 0),
    ):
        kurtosis.keyboard.press(key)
        agrees(kurtosis, "one", to)
    for key, to in (("PageUp", 10), ("PageUp", 20), ("PageUp", 23), ("PageDown", 13), ("End", 23)):
        kurtosis.keyboard.press(key)
        agrees(kurtosis, "one", to)


def test_kurtosis_by_number_and_by_choice(kurtosis):
    kurtosis.fill("input", "11")
    agrees(kurtosis, "one", 11)
    for wrong, nearest in (("24", 23), ("-1", 0), ("2.5", 3), ("", 3)):
        kurtosis.fill("input", wrong)
        kurtosis.keyboard.press("Tab")
        agrees(kurtosis, "one", nearest)
    kurtosis.select_option("[data-choice=view]", label="two & more")
    agrees(kurtosis, "two & more", top("two & more"))
    kurtosis.fill("input", "39")
    agrees(kurtosis, "two & more", 39)


def test_kurtosis_bars_are_the_measure_that_is_chosen(kurtosis):
    values = {
        "0": np.median(abs(Z["one"]), 0),
        "1": 100 * (Z["one"] ** 4).mean(0) / (Z["one"] ** 4).mean(0).sum(),
    }
    for measure, expected in values.items():
        kurtosis.select_option("[data-choice=measure]", measure)
        end = float(kurtosis.locator(".fl-tick").last.text_content())
        heights = [
            float(bar.get_attribute("height")) / 1000 * end for bar in kurtosis.locator(".fl-bar").all()
        ]
        assert heights == pytest.approx(expected, abs=0.01)
        names = kurtosis.locator(".fl-plot > .fl-name").all_text_contents()
        assert names == [str(j) for j in np.argsort(-expected)[:3]]
        assert f"Bar chart of 24 coordinates of one: {('distance', 'share')[int(measure)]}" in (
            kurtosis.get_attribute(".fl-chart", "aria-label")
        )


def matches(page, view, t, k):
    """Everything the browser shows of a direction and a concept is what the search found."""
    found, luck_T, scores_PK = SEARCHES[view]
    ap, down, width = found.ap_KT[k, t].item(), int(found.ap_2KT[:, k, t].argmax()), found.ap_KT.shape[0]
    order = np.argsort(scores_PK[:, k].numpy())
    order = order[:12] if down else order[::-1][:12]
    hits, of_all = int(PRESENT[order.copy(), t].sum()), 100 * PRESENT[:P, t].double().mean().item()
    verdict, way = ("detected" if ap >= 0.9 else "not detected"), ("lowest" if down else "highest")
    assert page.inner_text("output") == (
        f"{NAMES[t]}, direction {k} of {view}, {way} scores first: average precision "
        f"{np.floor(1000 * ap) / 1000:.3f}, {verdict}. By luck the best of {width} has {luck_T[t]:.3f}. "
        f"It shows in {hits} of the first 12 pictures and in {of_all:.0f} % of all."
    )
    for rank, row in enumerate(order):
        item, shows = page.locator(".fl-pictures li").nth(rank), bool(PRESENT[row, t])
        assert item.locator(".fl-pic").get_attribute("aria-label") == (
            f"made picture number {row}; {'shows' if shows else 'does not show'} {NAMES[t]}"
        )
        assert item.inner_text().strip() == ("✓ yes" if shows else "– no")
        assert drawn(page, rank) == row
    cells = [row.locator("th, td").all_inner_texts() for row in page.locator("tbody tr").all()]
    ap_K, ap_T = found.ap_KT[:, t].numpy(), found.ap_KT[k].numpy()
    listed = max(5, int((ap_T >= 0.9).sum()))
    expected = [(str(j), ap_K[j]) for j in np.argsort(-ap_K, kind="stable")[:5]]
    expected += [(NAMES[i], ap_T[i]) for i in np.argsort(-ap_T, kind="stable")[:listed]]
    assert [(row[0], row[3], row[4]) for row in cells] == [
        (name, f"{np.floor(1000 * value) / 1000:.3f}", "✓" if value >= 0.9 else "")
        for name, value in expected
    ]
    current = page.locator("tr[aria-current=true] th").all_inner_texts()
    assert {str(k), NAMES[t]} >= set(current)


def best(view, t):
    return int(SEARCHES[view].found.ap_KT[:, t].argmax())


def test_concepts_start_with_the_first_one_and_the_script_changes_no_word_of_it(concepts, running, tmp_path):
    matches(concepts, "one", 0, best("one", 0))
    still = opened(running, tmp_path, "concepts", java_script_enabled=False)
    for part in ("output", ".fl-pictures", "tbody >> nth=0", "tbody >> nth=1"):
        words = [re.sub(r"\s+", " ", page.inner_text(part)) for page in (still, concepts)]
        assert words[0] == words[1]
    assert not concepts.trouble
    still.context.close()


def test_concepts_by_choice_and_by_number(concepts):
    for t in (2, 3, 1):
        concepts.select_option("[data-choice=concept]", str(t))
        matches(concepts, "one", t, best("one", t))
    concepts.fill("input", "5")
    matches(concepts, "one", 1, 5)
    for wrong, nearest in (("24", 23), ("-3", 0), ("1.5", 2), ("", 2)):
        concepts.fill("input", wrong)
        concepts.keyboard.press("Tab")
        matches(concepts, "one", 1, nearest)
    concepts.select_option("[data-choice=concept]", "4")
    concepts.select_option("[data-choice=view]", label="two & more")
    matches(concepts, "two & more", 4, best("two & more", 4))
    assert best("two & more", 4) == 30 and "detected ✓" not in concepts.inner_text("output")


def test_a_direction_has_two_ends_and_leads_to_the_concepts_it_detects(concepts):
    concepts.select_option("[data-choice=concept]", "2")
    matches(concepts, "one", 2, 5)
    # By keyboard: the button keeps the focus, since its row stays.
    button = concepts.locator("[data-list=concepts] button", has_text="sea")
    button.focus()
    concepts.keyboard.press("Enter")
    matches(concepts, "one", 3, 5)
    assert concepts.evaluate("document.activeElement.textContent") == "sea"
    assert "lowest scores first" in concepts.inner_text("output")
    second = concepts.locator("[data-list=directions] button").nth(1)
    k = int(second.inner_text())
    second.focus()
    concepts.keyboard.press("Space")
    matches(concepts, "one", 3, k)
    assert concepts.evaluate("document.activeElement.textContent") == str(k)


def test_keyboard_reaches_every_control(concepts):
    seen = []
    for _ in range(3 + 5 + 5):
        concepts.keyboard.press("Tab")
        seen.append(concepts.evaluate("document.activeElement.tagName"))
        assert concepts.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert seen[:3] == ["SELECT", "SELECT", "INPUT"] and set(seen[3:]) == {"BUTTON"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_no_rule_of_accessibility_is_broken(either, scheme, size):
    either.set_viewport_size(size)
    either.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    options = {"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"], "preload": False}
    found = Axe().run(either, options=options)
    assert not found.response["violations"], found.generate_report()


def luminance(colour):
    share = np.array([float(value) for value in re.findall(r"[\d.]+", colour)[:3]]) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4) @ [
        0.2126,
        0.7152,
        0.0722,
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_drawn_is_legible(either, scheme):
    either.emulate_media(color_scheme=scheme)
    ground = luminance(either.evaluate("getComputedStyle(document.querySelector('figure')).backgroundColor"))
    assert (ground > 0.9) if scheme == "light" else (ground < 0.05)
    for selector, least, colour in (
        (".fl-plot text", 4.5, "fill"),
        (".fl-bar", 3, "fill"),
        (".fl-track i", 3, "backgroundColor"),
    ):
        for drawn_in in either.evaluate(
            "([what, how]) => [...document.querySelectorAll(what)].map(each => getComputedStyle(each)[how])",
            [selector, colour],
        ):
            low, high = sorted((luminance(drawn_in), ground))
            assert (high + 0.05) / (low + 0.05) >= least, (selector, drawn_in)


def test_a_phone_has_no_sideways_scroll_and_targets_for_a_finger(either):
    either.set_viewport_size(PHONE)
    assert either.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for target in either.locator("button, select, input").all():
        box = target.bounding_box()
        assert min(box["width"], box["height"]) >= 24


@pytest.mark.parametrize("width", [360, 640, 760, 1200])
def test_tables_end_inside_the_figure(either, width):
    either.set_viewport_size({"width": width, "height": 900})
    beyond = """() => { const figure = document.querySelector("figure").getBoundingClientRect();
      return [...document.querySelectorAll("figure table")].map(
        table => Math.round(table.getBoundingClientRect().right - figure.right)); }"""
    assert all(pixels <= 0 for pixels in either.evaluate(beyond))


def test_nothing_moves_and_nothing_is_fetched(either):
    either.emulate_media(reduced_motion="reduce")
    moving = """[...document.querySelectorAll('figure *')].filter(each => {
        const style = getComputedStyle(each);
        return [style.transitionDuration, style.animationDuration].some(time => parseFloat(time) > 0.01);
    }).length"""
    assert either.evaluate(moving) == 0 and not either.trouble


@pytest.mark.parametrize("kind", ["kurtosis", "concepts"])
def test_twice_on_a_page_both_are_alive(running, tmp_path, kind):
    page = opened(running, tmp_path, kind, times=2)
    for figure in page.locator("figure").all():
        before = figure.locator("output").inner_text()
        figure.locator("input").fill("9")
        assert figure.locator("output").inner_text() != before
    page.context.close()
