"""Tables of data on the built pages: sorted by mouse and keyboard, and downloaded as CSV."""

import re

import pandas as pd
import pytest
from opened_page import PHONE, Opened

TABLES = "table.dataframe, .fl-sortable table, table.fl-data"
# A table with all that is hard: cells that span others, three rows of names, missing values, other signs.
MADE = """() => {
    document.querySelector("article").innerHTML = `<section id="made"><h1>Made</h1>
    <div class="output text_html"><table class="dataframe"><thead>
      <tr><th></th><th></th><th colspan="2">score</th><th></th></tr>
      <tr><th></th><th>run</th><th>first</th><th>second, "b"</th><th>share</th></tr>
      <tr><th>kind</th><th></th><th></th><th></th><th></th></tr></thead><tbody>
      <tr><th rowspan="2">zebra</th><th>10</th><td>1,200</td><td>x, "y"</td><td>5 %</td></tr>
      <tr><th>9</th><td>−3.5</td><td>é</td><td>12.5 %</td></tr>
      <tr><th>ant</th><th>2</th><td>–</td><td></td><td>−1 %</td></tr>
      <tr><th>bee</th><th>1</th><td>2e-3</td><td>a</td><td></td></tr></tbody></table></div></section>`;
}"""


@pytest.fixture
def made(browser, address, site) -> Opened:
    """A page whose only table is a hard one."""
    page = browser.new_page()
    page.goto(f"{address}/glossary.html")
    page.evaluate(MADE)
    page.add_script_tag(url=f"{address}/_static/tables.js")
    yield Opened("glossary", page)
    page.close()


def column(table, number):
    """What the rows of a table say in one column, from top to bottom; spanning cells only once."""
    return [text.strip() for text in table.locator(f"tbody tr > :nth-child({number})").all_inner_texts()]


def downloaded(page, button, tmp_path):
    with page.expect_download() as waited:
        button.click()
    page.wait_for_timeout(100)  # Chromium drops the eleventh download of one second
    file = tmp_path / waited.value.suggested_filename
    waited.value.save_as(file)
    return file


def test_numbers_sort_as_numbers_and_what_is_missing_comes_last(made):
    table = made.page.locator("table.dataframe")
    head = table.get_by_role("button", name="first")
    as_it_was = table.locator("tbody tr").evaluate_all("rows => rows.map(row => row.outerHTML)")
    head.click()
    assert column(table, 3) == ["1,200", "2e-3", "−3.5", "–"] and column(table, 1)[0] == "zebra"
    assert table.locator("th[aria-sort]").count() == 1
    assert table.locator("th[aria-sort=descending]").inner_text().strip() == "first"
    head.press("Enter")
    assert column(table, 3) == ["−3.5", "2e-3", "1,200", "–"]
    head.press("Space")
    assert table.locator("tbody tr").evaluate_all("rows => rows.map(row => row.outerHTML)") == as_it_was
    assert not table.locator("th[aria-sort]").count()
    table.get_by_role("button", name="share").click()
    assert column(table, 5) == ["12.5 %", "5 %", "−1 %", ""]
    table.get_by_role("button", name="kind").click()
    assert column(table, 1) == ["ant", "bee", "zebra", "zebra"], "what spanned two rows is in both"


def test_csv_holds_what_the_table_shows(made, tmp_path):
    button = made.page.get_by_role("button", name="CSV: download table 1, Made")
    file = downloaded(made.page, button, tmp_path)
    assert file.name == "glossary-table-1.csv"
    found = pd.read_csv(file)
    assert list(found.columns) == ["kind", "run", "score / first", 'score / second, "b"', "share (%)"]
    assert found["kind"].tolist() == ["zebra", "zebra", "ant", "bee"] and found["run"].tolist() == [
        10,
        9,
        2,
        1,
    ]
    assert found["score / first"].fillna(-1).tolist() == [1200, -3.5, -1, 0.002]
    assert found["share (%)"].fillna(0).tolist() == [5, 12.5, -1, 0]
    assert found.iloc[:, 3].fillna("").tolist() == ['x, "y"', "é", "", "a"]
    assert file.read_bytes().endswith(b"\r\n")


def test_every_table_of_data_can_be_downloaded_and_sorted(opened, tmp_path):
    tables = opened.page.locator(TABLES)
    buttons = opened.page.locator(".fl-tools button")
    assert tables.count() == buttons.count()
    assert tables.count() > 0 or not re.match(r"0[1-6]|claims|tables", opened.name)
    opened.unfold()
    for number in range(tables.count()):
        table = tables.nth(number)
        rows = table.locator("tbody tr").count()
        found = pd.read_csv(downloaded(opened.page, buttons.nth(number), tmp_path), keep_default_na=False)
        assert len(found) == rows
        last = table.locator("thead button").last
        name = " ".join(last.inner_text().split())
        assert any(name in str(each) for each in found.columns), name
        last.click()
        assert table.locator("th[aria-sort]").count() == 1
        assert table.locator("tbody tr").count() == rows
        again = pd.read_csv(downloaded(opened.page, buttons.nth(number), tmp_path), keep_default_na=False)
        assert sorted(map(str, again.to_numpy().tolist())) == sorted(map(str, found.to_numpy().tolist()))


def test_nothing_moves_when_the_buttons_come(browser, address):
    """With and without the script every table is at the same place."""
    places = []
    for script in (True, False):
        page = browser.new_page(viewport=PHONE)
        if not script:
            page.route("**/tables.js*", lambda route: route.abort())
        page.goto(f"{address}/01-effective-robustness.html")
        page.evaluate("document.querySelectorAll('article mjx-container').forEach(each => each.remove())")
        assert bool(page.locator(".fl-tools").count()) is script
        top = "table => [table.getBoundingClientRect().top, table.getBoundingClientRect().height]"
        places.append(page.locator(TABLES).evaluate_all(f"tables => tables.map({top})"))
        page.close()
    assert len(places[0]) > 5
    for there, here in zip(*places, strict=True):
        assert there == pytest.approx(here, abs=1.5)


def test_without_scripts_tables_have_no_buttons(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/02-outlier-features.html")
    assert page.locator("table.dataframe").count() > 5
    assert page.locator("table.dataframe button, .fl-tools").count() == 0
    context.close()
