import pytest

from featurelens.cli import app

SPARSITY = (
    "(Asked: What share of the coordinates is zero at the threshold that gives a kurtosis of 17? "
    "Unit: fraction.)\n"
)


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        app(arguments)
    out, err = capsys.readouterr()
    return end.value.code, out, err


@pytest.mark.parametrize("answer", ["0.78", "78 %", "78%"])
def test_a_right_answer(capsys, answer):
    assert run(capsys, "check", "02-outlier-features", "ex-sparsity", answer) == (0, f"right. {SPARSITY}", "")


def test_a_wrong_answer_gets_a_hint(capsys):
    code, out, err = run(capsys, "check", "02-outlier-features", "ex-sparsity", "0.47")
    assert (code, err) == (1, "") and out.startswith("wrong. That is EfficientNet-Lite0's own share")
    assert out.endswith(SPARSITY) and out.count("\n") == 1


@pytest.mark.parametrize("answer", ["-15.6 %", "-0.156", "−.156"])
def test_a_negative_answer_is_no_option(capsys, answer):
    code, out, _ = run(capsys, "check", "01-effective-robustness", "ex-linear-axes", answer)
    assert code == 0 and out.startswith("right. ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("02-outlier-feature", "ex-sparsity", "1"),
            "unknown chapter '02-outlier-feature': did you mean 02-outlier-f",
        ),
        (("02-outlier-features", "ex-sparse", "1"), "unknown exercise 'ex-sparse': did you mean ex-sparsity"),
        (
            ("02-outlier-features", "ex-sparsity", "lots"),
            "expected a number such as 0.25 or 25 % (fraction), found 'lo",
        ),
        (
            ("02-outlier-features", "ex-sparsity", "--lots"),
            "expected a number such as 0.25 or 25 % (fraction), found '-",
        ),
        (
            ("02-outlier-features", "ex-fool-the-rule", "1"),
            "ex-fool-the-rule: expected an exercise that asks for a n",
        ),
        (
            ("03-privileged-directions", "ex-second-bias", "8 %"),
            "expected a number such as 12.5 (directions), found",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(capsys, arguments, message):
    code, out, err = run(capsys, "check", *arguments)
    assert (code, out) == (2, "") and err.startswith(f"featurelens: {message}") and err.count("\n") == 1


def test_an_unknown_edition(capsys):
    assert run(capsys, "book", "edition", "studnt") == (
        2,
        "",
        "featurelens: unknown edition 'studnt': did you mean student or instructor?\n",
    )
