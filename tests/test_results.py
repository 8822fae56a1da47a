import pandas as pd
import pytest

from featurelens import results, scales


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FEATURELENS_DATA", str(tmp_path))
    monkeypatch.delenv("FEATURELENS_RESULTS", raising=False)
    monkeypatch.setenv("FEATURELENS_SCALE", "miniature")
    return tmp_path / "results"


def tiny():
    return pd.DataFrame({"model": ["None", "b", ""], "value": [0.1 + 0.2, 1e-12, float("nan")]})


def unreachable():
    raise scales.Unreachable("no network")


def test_fresh_table_is_written_with_its_provenance(folder):
    frame = results.table("01-a", "miniature", tiny, "the world")
    stored = pd.read_csv(folder / "01-a.miniature.csv", keep_default_na=False)
    assert list(frame.columns) == ["model", "value", *results.PROVENANCE]
    assert frame["value"][0] == 0.1 + 0.2 and frame["model"][0] == "None"
    assert set(stored["scale"]) == {"miniature"} and set(stored["source"]) == {"the world"}
    assert frame.attrs["stored"] is False
    assert "computed by this page" in results.caption(frame) and "the world" in results.caption(frame)
    assert list(results.bare(frame).columns) == ["model", "value"]
    assert not list(folder.glob("*.tmp"))


def test_equal_values_leave_the_file_alone(folder):
    results.table("01-a", "miniature", tiny, "the world")
    path = folder / "01-a.miniature.csv"
    path.write_text(path.read_text().replace(",20", ",19"))  # an older date
    before = path.read_bytes()
    nearly = results.table(
        "01-a", "miniature", lambda: tiny().assign(value=tiny()["value"] * (1 + 1e-8)), "the world"
    )
    assert path.read_bytes() == before and nearly["computed_on"][0].startswith("19")
    results.table("01-a", "miniature", lambda: tiny().assign(value=tiny()["value"] * 1.001), "the world")
    assert path.read_bytes() != before


@pytest.mark.parametrize(
    "change",
    [
        lambda: tiny().assign(model=["None", "c", ""]),
        lambda: tiny().iloc[:2],
        lambda: tiny().rename(columns={"value": "v"}),
        lambda: tiny().assign(value="x"),
    ],
)
def test_any_other_change_is_written(folder, change):
    results.table("01-a", "miniature", tiny, "the world")
    before = (folder / "01-a.miniature.csv").read_bytes()
    results.table("01-a", "miniature", change, "the world")
    assert (folder / "01-a.miniature.csv").read_bytes() != before


def test_new_source_is_written(folder):
    results.table("01-a", "miniature", tiny, "the world")
    assert results.table("01-a", "miniature", tiny, "another world")["source"][0] == "another world"


def test_unreachable_scale_gives_the_stored_table(folder, monkeypatch):
    monkeypatch.setenv("FEATURELENS_SCALE", "published")
    fresh = results.table("01-a", "published", tiny, "a file")
    for scale, compute in (("published", unreachable), ("miniature", lambda: pytest.fail("not selected"))):
        monkeypatch.setenv("FEATURELENS_SCALE", scale)
        frame = results.table("01-a", "published", compute, "a file")
        assert frame.attrs["stored"] is True and "stored result" in results.caption(frame)
        pd.testing.assert_frame_equal(frame, fresh, check_flags=False)
    pd.testing.assert_frame_equal(results.read("01-a", "published"), fresh)


def test_nothing_stored_says_how_to_compute_it(folder, monkeypatch):
    with pytest.raises(
        scales.Unreachable, match=r"no stored result 01-a\.paper\.csv.*FEATURELENS_SCALE=paper make"
    ):
        results.table("01-a", "paper", tiny, "a file")
    monkeypatch.setenv("FEATURELENS_SCALE", "paper")
    with pytest.raises(scales.Unreachable, match="no network"):
        results.table("01-a", "paper", unreachable, "a file")
    with pytest.raises(scales.Unreachable, match="not been computed yet"):
        results.read("01-b", "paper")


def test_override_folder_is_written_and_the_projects_is_still_read(folder, tmp_path, monkeypatch):
    results.table("01-a", "miniature", tiny, "the world")
    before = (folder / "01-a.miniature.csv").read_bytes()
    monkeypatch.setenv("FEATURELENS_RESULTS", str(tmp_path / "elsewhere"))
    assert len(results.read("01-a", "miniature")) == 3
    results.table("01-a", "miniature", lambda: tiny().assign(value=1.0), "the world")
    assert (folder / "01-a.miniature.csv").read_bytes() == before
    assert (results.read("01-a", "miniature")["value"] == 1.0).all()
    results.table("01-b", "miniature", tiny, "the world")
    assert not (folder / "01-b.miniature.csv").exists()


def test_bad_tables_are_refused(folder):
    with pytest.raises(ValueError, match="expected at least one row"):
        results.table("01-a", "miniature", lambda: tiny().iloc[:0], "x")
    with pytest.raises(ValueError, match="columns commit, seconds are reserved"):
        results.table("01-a", "miniature", lambda: tiny().assign(seconds=1, commit="a"), "x")


def test_rows_of_other_runs_stay_with_their_provenance_and_are_all_named(folder):
    def rows(value, *keys):
        return pd.DataFrame([{"model": m, "set": s, "value": value} for m, s in keys])

    by = ("model", "set")
    results.keep("01-a", "paper", rows(1.0, ("a", "x"), ("a", "y"), ("b", "x")), "first run", 10, by)
    kept = results.keep("01-a", "paper", rows(2.0, ("a", "x"), ("c", "x")), "second run", 20, by)
    values = kept.set_index(["model", "set"])[["value", "source", "seconds"]].to_dict("index")
    first = {"value": 1.0, "source": "first run", "seconds": 10}
    second = {"value": 2.0, "source": "second run", "seconds": 20}
    assert values == {("a", "y"): first, ("b", "x"): first, ("a", "x"): second, ("c", "x"): second}
    assert "from first run" in results.caption(kept) and "and from second run" in results.caption(kept)
    assert results.read("01-a", "paper")["value"].tolist() == kept["value"].tolist()
    whole = results.keep("01-a", "paper", rows(3.0, ("d", "x")), "third run", 30)
    assert whole["model"].tolist() == ["d"]
