"""Every chapter runs as a script, and what it claims is what the committed claims say."""

import os
import subprocess
import sys

import pytest

from featurelens import claims, pages, stamps

# Other processors and library versions round differently; a claim's own tolerance may be wider.
RTOL = 1e-3


@pytest.fixture(scope="module", params=pages.pages(), ids=lambda page: page.name)
def rerun(request, tmp_path_factory):
    """The chapter's page, and the folders into which running it wrote claims and tables."""
    folder = tmp_path_factory.mktemp(request.param.name)
    written = {"FEATURELENS_CLAIMS": str(folder / "claims"), "FEATURELENS_RESULTS": str(folder / "results")}
    env = os.environ | written | {"FEATURELENS_SCALE": "published", "MPLBACKEND": "agg"}
    # Quarter of an hour of live networks on real pictures is left out: test_extract measures the same values.
    env.pop("FEATURELENS_IMAGES", None)
    command = [sys.executable, request.param.source]
    run = subprocess.run(command, env=env, cwd=stamps.root(), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    return request.param, folder


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["miniature", "published"])
def test_claims_are_measured_again(rerun, scale):
    page, folder = rerun
    stored = {claim["name"]: claim for claim in claims.read(page.name) if claim["scale"] == scale}
    if not stored:
        pytest.skip(f"{page.name} claims nothing at the {scale} scale")
    if not list((folder / "results").glob(f"*.{scale}.csv")):
        pytest.skip(
            f"{page.name}: no table of the {scale} scale could be computed: neither mirror nor network"
        )
    again = {
        claim["name"]: claim for claim in claims.read(page.name, folder / "claims") if claim["scale"] == scale
    }
    assert set(again) == set(stored)
    for name, claim in stored.items():
        tol = max(RTOL * abs(claim["value"]), claim["expected"].get("tol", 0.0))
        assert again[name]["value"] == pytest.approx(claim["value"], rel=0, abs=tol), name
        assert again[name]["expected"] == claim["expected"], name
