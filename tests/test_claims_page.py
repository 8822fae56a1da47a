"""The index of claims: every stored claim, readable as it is, and in step with the data."""

import json
import re

import pytest

from featurelens import claims, claims_page, pages, paths, reference


@pytest.fixture
def small_book(tmp_path, monkeypatch):
    """A book of one page with two claims, of which one has a table."""
    for folder in ("data/claims", "data/results", "chapters", "book"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "chapters" / "01-a.py").write_text("# %% [markdown]\n# # Of cats\n")
    (tmp_path / "data" / "results" / "01-t.miniature.csv").write_text("x\n1\n")
    claim = {"name": "a|b", "scale": "miniature", "value": -0.0217576, "expected": {"at_least": -5.0}}
    other = {"name": "b", "scale": "published", "value": 13954.2, "expected": {"equals": 13954.0, "tol": 0.5}}
    stored = [claim | {"source": "01-t", "text": "All_of *it* <b>."}, other | {"source": "01-t", "text": ""}]
    (tmp_path / "data" / "claims" / "01-a.json").write_text(json.dumps({"chapter": "01-a", "claims": stored}))
    monkeypatch.setenv("FEATURELENS_DATA", str(tmp_path / "data"))
    return tmp_path


def test_index_is_in_step():
    assert reference.in_step("claims"), "run: featurelens book sync"


def test_every_stored_claim_is_a_row_of_its_page():
    sections = re.split(r"^## ", claims_page.path().read_text("utf-8"), flags=re.MULTILINE)[1:]
    with_claims = [page for page in pages.pages() if claims.read(page.name)]
    assert len(sections) == len(with_claims) > 5
    for page, section in zip(with_claims, sections, strict=True):
        assert f"{{doc}}`{page.name}`" in section
        rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
        assert len(rows) == len(claims.read(page.name))


def test_a_row_says_what_was_found_and_expected(small_book):
    text = claims_page.text()
    assert "## Of cats\n\n2 claims of {doc}`01-a`." in text
    table = "{download}`01-t <../data/results/01-t.miniature.csv>`"
    assert rf"| a\|b | All\_of \*it\* \<b\>. | −0.02176 | ≥ −5 | miniature | {table} |" in text
    assert "| b |  | 13,954 | 13,954 ± 0.5 | published | 01-t |" in text


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (-0.0, "0"), (38.9, "38.9"), (1.41421356, "1.414"), (2e-9, "2.0e−09"), (-1234.5, "−1,234")],
)
def test_numbers_have_four_digits(value, shown):
    assert claims_page._number(value) == shown


@pytest.mark.parametrize(
    ("expected", "shown"),
    [
        ({"equals": 0.5}, "0.5"),
        ({"at_most": 3.0}, "≤ 3"),
        ({"at_least": 0.0, "at_most": 0.03}, "0 to 0.03"),
        ({"equals": 1.0, "tol": 0.1, "at_most": 2.0}, "1 ± 0.1, ≤ 2"),
    ],
)
def test_expectations_are_phrased(expected, shown):
    assert claims_page._expected(expected) == shown


def test_sync_writes_only_what_changed(small_book):
    assert not reference.in_step("claims") and reference.write("claims") and not reference.write("claims")
    path = paths.data() / "claims" / "01-a.json"
    path.write_text(path.read_text().replace("13954.2", "13955"))
    assert not reference.in_step("claims") and reference.write("claims")
    assert "13,955" in claims_page.path().read_text("utf-8")
