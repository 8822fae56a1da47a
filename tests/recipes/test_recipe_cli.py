"""``featurelens recipe``: what it says, and that wrong input ends in one line and exit code 2."""

import pytest
from conftest import write_recipe

from featurelens import recipes
from featurelens.cli import app


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        app([*map(str, ("recipe", *arguments))])
    out, err = capsys.readouterr()
    return end.value.code, out, err


def test_list_and_show(capsys):
    code, out, _ = run(capsys, "list")
    assert code == 0 and [line.split()[0] for line in out.splitlines()] == recipes.names()
    code, out, _ = run(capsys, "show", "finetuned-rn50", "--set", "seed=3")
    assert code == 0 and "seed = 3\n" in out and 'model = "RN50-quickgelu"\n' in out


def given(world, tmp_path, **values):
    recipe = write_recipe(tmp_path / "tiny.toml", **values)
    folders = ["--imagenet", world / "train", "--val", world / "val", "--classes", world / "classes.txt"]
    return ["run", recipe, *folders, "--out", tmp_path / "out"]


def test_run_says_first_what_it_will_do_and_then_does_it(world, tmp_path, capsys):
    arguments = given(world, tmp_path, epochs=1)
    code, out, _ = run(capsys, *arguments, "--dry-run")
    assert code == 0 and not (tmp_path / "out").exists()
    assert out.splitlines() == [
        "tiny: supervised training of tiny-vit",
        "pictures: 32 in 4 classes (0 left out: in other folders)",
        "validation: 12 pictures after each epoch",
        "steps: 4 = 1 epochs of 4; batch 8 = 1 devices x 1 passes x 8 pictures",
        "forward passes of pictures: 44 (32 with backward)",
    ]
    code, done, _ = run(capsys, *arguments, "--set", "log_every=1")
    assert code == 0 and done.startswith(out) and (tmp_path / "out" / "model.safetensors").exists()


def test_captions_are_reported(world, tmp_path, capsys):
    arguments = given(world, tmp_path, kind="contrastive", caption=["title"])
    code, out, _ = run(capsys, *arguments, "--captions", world / "captions.json", "--dry-run")
    expected = "captions: 32 of 32 records found their picture (0 did not, 0 are empty, 0 are malformed)"
    assert code == 0 and expected in out.splitlines()


def test_interpolate_writes_what_it_says(world, tmp_path, capsys):
    start = str(world / "tiny-vit.safetensors")
    assert run(capsys, *given(world, tmp_path, kind="finetuned", start=start, epochs=1))[0] == 0
    ends = [tmp_path / "out" / f"{end}.safetensors" for end in ("start", "model")]
    code, out, _ = run(
        capsys, "interpolate", *ends, "--alpha", 0.25, "--alpha", 1, "--out", tmp_path / "mixed"
    )
    paths = [tmp_path / "mixed" / f"alpha-{alpha}.safetensors" for alpha in ("0.25", "1")]
    assert code == 0 and out.splitlines() == [str(path) for path in paths] and all(p.exists() for p in paths)


def test_wrong_input_is_one_line_and_code_2(world, tmp_path, capsys):
    right = given(world, tmp_path)
    (tmp_path / "out").write_text("a file")
    wrong = [
        (["show", "finetuned-rn5"], "did you mean finetuned-rn50"),
        ([*right, "--set", "epoch=1"], "did you mean epochs"),
        ([*right, "--set", "model=tiny-vt"], "unknown open_clip model"),
        ([*right, "--devices", 0], "expected a batch that splits"),
        ([*right, "--imagenet", tmp_path / "none"], "found none at"),
        (right, "found the file"),
        (
            ["interpolate", world / "a", world / "b", "--alpha", 1, "--out", tmp_path / "m"],
            "expected a file of weights",
        ),
    ]
    for arguments, expected in wrong:
        code, _, err = run(capsys, *arguments)
        assert code == 2 and expected in err and len(err.splitlines()) == 1, err
