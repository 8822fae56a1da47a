import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurelens import claims
from featurelens.checks import UnknownNameError


@pytest.fixture
def book(tmp_path, monkeypatch):
    monkeypatch.setenv("FEATURELENS_DATA", str(tmp_path))
    monkeypatch.delenv("FEATURELENS_CLAIMS", raising=False)
    return claims.Claims("09-test")


def record(book, name="a", value=1.0, scale="miniature", **expectation):
    book.record(name, value, scale=scale, text="A claim.", source="x", **(expectation or {"equals": value}))


@pytest.mark.parametrize(
    ("value", "expectation"),
    [
        (0.3, {"equals": 0.2, "tol": 0.1}),
        (3, {"at_least": 3}),
        (3, {"at_most": 3}),
        (np.float32(2.5), {"at_least": 2, "at_most": 3}),
        (True, {"equals": 1}),
    ],
)
def test_expectation_holds(book, value, expectation):
    record(book, value=value, **expectation)
    assert book.entries["a", "miniature"]["value"] == float(value)


def test_recording_shows_nothing_at_the_end_of_a_cell(book):
    assert book.record("a", 1.0, scale="miniature", text="A claim.", source="x", equals=1) is None


@pytest.mark.parametrize(
    ("value", "expectation", "message"),
    [
        (0.31, {"equals": 0.2, "tol": 0.1}, "found 0.31, expected 0.2 ± 0.1"),
        (2.9, {"at_least": 3}, "found 2.9, expected at least 3"),
        (3.1, {"at_least": 1, "at_most": 3}, "expected at least 1 at most 3"),
        (float("nan"), {"at_least": 0}, "found nan"),
        (float("inf"), {"at_least": 0}, "found inf"),
    ],
)
def test_expectation_fails(book, value, expectation, message):
    with pytest.raises(claims.ClaimError, match=message):
        record(book, value=value, **expectation)
    assert not book.entries


@given(st.floats(-1e9, 1e9), st.floats(0, 1e3), st.floats(-2e3, 2e3))
def test_equals_agrees_with_the_plain_definition(value, tol, offset):
    found = value + offset
    entry = {"equals": value, "tol": tol}
    if abs(abs(found - value) - tol) > 1e-6 * (1 + abs(value) + tol):
        assert claims._holds(found, entry) == (abs(found - value) <= tol)


def test_misuse_is_refused(book):
    with pytest.raises(ValueError, match="expected one of equals, at_least, at_most"):
        book.record("a", 1.0, scale="miniature", text="A claim.", source="x")
    with pytest.raises(UnknownNameError, match="did you mean miniature"):
        record(book, scale="miniatur")
    record(book)
    with pytest.raises(ValueError, match="already recorded"):
        record(book)
    record(book, scale="published")


def test_file_is_stable_and_sorted(book, tmp_path):
    record(book, "b", 2 / 3, scale="published")
    record(book, "z", 1)
    record(book, "a", 1)
    book.write()
    path = tmp_path / "claims" / "09-test.json"
    stored = json.loads(path.read_text())
    assert [(c["scale"], c["name"]) for c in stored["claims"]] == [
        ("miniature", "a"),
        ("miniature", "z"),
        ("published", "b"),
    ]
    assert stored["claims"][2]["value"] == 0.666667
    before = path.read_bytes()
    book.write()
    assert path.read_bytes() == before


def test_scales_that_were_not_reached_are_kept(book):
    record(book, "big", 5, scale="paper")
    record(book, "old", 5)
    book.write()
    again = claims.Claims("09-test")
    record(again, "new", 6)
    again.write()
    assert [c["name"] for c in claims.read("09-test")] == ["new", "big"]


def test_override_folder_leaves_the_projects_alone(book, tmp_path, monkeypatch):
    record(book, "a", 1)
    book.write()
    before = (tmp_path / "claims" / "09-test.json").read_bytes()
    monkeypatch.setenv("FEATURELENS_CLAIMS", str(tmp_path / "elsewhere"))
    again = claims.Claims("09-test")
    record(again, "b", 2)
    again.write()
    assert [claim["name"] for claim in claims.read("09-test", tmp_path / "elsewhere")] == ["b"]
    assert (tmp_path / "claims" / "09-test.json").read_bytes() == before
    assert claims.read("absent") == []
