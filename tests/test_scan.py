"""A scan from end to end: the report as text, JSON and a page; the command and its exit codes."""

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import made_features as made
import numpy as np
import pytest
import tiny_towers
import torch
from PIL import Image
from rich.console import Console

from featurelens import extract, imagesets, plots, scan, scan_page, scan_references, scan_report, stamps, zoo
from featurelens.cli import app
from featurelens.encoder import wrap
from featurelens.figures import svg
from featurelens.heads import LinearHead
from featurelens.preprocess import square
from featurelens.scan_fields import shown
from featurelens.store import FeatureStore

ENCODER = "miniature/clip-web-resnet-s0"
ODD = '</title><script> & "it\'s" [red] :warning:'
SCHEMA = json.loads(scan_report.SCHEMA.read_text("utf-8"))
VALID = jsonschema.Draft202012Validator(SCHEMA)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve pictures, one of them torn."""
    root = tmp_path_factory.mktemp("pictures") / "mine"
    root.mkdir()
    for i in range(11):
        pixels = np.random.default_rng(i).integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{i:02d}.png")
    (root / "torn.png").write_bytes(b"no picture")
    return root


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FEATURELENS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def reports():
    outlier, head = made.planted("constant offset", at=7), made.head()
    return {
        "outlier": scan.features(outlier, head, name=ODD, point="pre"),
        "sparse": scan.features(made.sparse()),
        "gaussian": scan.features(made.gaussian(), made.head(bias=False), name="plain"),
    }


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        app(["scan", *map(str, arguments)])
    out, err = capsys.readouterr()
    return end.value.code, out, err


# What is scanned


def test_scan_of_an_encoder_is_the_scan_of_its_features(folder, tmp_path):
    encoder, images, store = zoo.load(ENCODER), imagesets.load(folder), FeatureStore(tmp_path / "store")
    report = scan.scan(encoder, images, store=store)
    h_ND, _, _, failures = extract.features(encoder, images, store, "joint")
    assert len(h_ND) == 11 and [each["key"] for each in report.left_out] == [each["key"] for each in failures]
    assert report.point == "joint" == encoder.head.point
    counted = scan.features(h_ND, encoder.head).values | {"left_out": 1}
    assert report.values == counted and "prunable" in report.values
    assert report.identity == encoder.identity and report.images == images.identity
    other = scan.scan(encoder, images, point="pre", store=store)
    assert other.values["width"] == encoder.dims["pre"] and "prunable" not in other.values
    with pytest.raises(ValueError, match="expected the point that the head reads, joint, found pre"):
        scan.scan(encoder, images, encoder.head, point="pre", store=store)
    with pytest.raises(KeyError, match="did you mean joint"):
        scan.scan(encoder, images, point="jont", store=store)


class Returns(torch.nn.Module):
    """A network that returns what it is told to."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        features = {"tuple": x.mean((2, 3)), "map": x, "both": x.flatten(1), "joint": x.mean((2, 3))}
        if self.shape == "tuple":
            return features["tuple"], features["tuple"]
        return (
            features["map"] if self.shape == "map" else {"pre": features["both"], "joint": features["joint"]}
        )


def test_point_where_there_is_no_head():
    both = wrap("own", Returns("both"), square(4))
    assert scan.chosen(both) == "joint" and scan.chosen(both, made.head()) == "pre"
    elsewhere = LinearHead(torch.eye(3), None, "")
    assert scan.chosen(both, elsewhere) == "joint" and scan.chosen(both, elsewhere, "pre") == "pre"
    assert scan.chosen(zoo.load("miniature/supervised-resnet-s0")) == "pre"


# JSON


@pytest.mark.parametrize("name", ["outlier", "sparse", "gaussian"])
def test_json_fits_its_schema_and_has_the_numbers(reports, name):
    report = reports[name]
    facts = json.loads(report.to_json())
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    VALID.validate(facts)
    assert facts["measures"] == report.values and facts["name"] == report.name
    assert facts["commit"] == stamps.commit()
    assert [each["index"] for each in facts["outlier_coordinates"]] == ([7] if name == "outlier" else [])
    assert facts["verdict"]["says"] is None and facts["verdict"]["supported"] is False
    assert len(facts["verdict"]["records"]) == 9 and len(facts["references"]) == len(scan_references.table())
    assert {row["er"] for row in facts["references"] if row["family"] == "VideoCLIP"} == {None}


@pytest.mark.parametrize(
    "change",
    [
        lambda facts: facts.pop("pattern"),
        lambda facts: facts["measures"].pop("kurtosis"),
        lambda facts: facts["measures"].pop("prunable"),
        lambda facts: facts["measures"].update(more=1.0),
        lambda facts: facts["verdict"].update(says="yes"),
        lambda facts: facts["outlier_coordinates"][0].update(kind="huge"),
        lambda facts: facts.update(format="featurelens-scan-2"),
    ],
)
def test_schema_refuses_other_reports(reports, change):
    facts = json.loads(reports["outlier"].to_json())
    change(facts)
    assert not VALID.is_valid(facts)


def test_schema_has_every_field_and_what_it_is():
    described = SCHEMA["properties"]["measures"]["properties"]
    told = {name: field["description"] for name, field in described.items()}
    assert told == scan_page.FIELDS | scan_page.HEAD_FIELDS


# Text


def text_of(report, width=100):
    out = io.StringIO()
    Console(file=out, width=width).print(report)
    return re.sub(r"\s+", " ", out.getvalue())


def test_text_says_numbers_and_verdict_and_takes_names_as_they_are(reports):
    words = text_of(reports["outlier"])
    assert ODD in words and "Pattern: outlier direction." in words
    found = reports["outlier"].measured.coordinates[0]
    assert f"7 {found.times_median:.1f} 100.0%" in words and "constant offset" in words
    assert all(sentence in words for sentence in reports["outlier"].verdict.sentences)
    assert "Outlier coordinates: none." in text_of(reports["sparse"])
    assert "2 of 3 (9% to 99%)" in words


@pytest.mark.parametrize("name", ["outlier", "sparse", "gaussian"])
def test_a_notebook_shows_a_table_and_the_whole_verdict(reports, name):
    report = reports[name]
    page = Page(report._repr_html_())
    assert page.open == [] and not {"script", "style", "link", "img"} & {tag for tag, _ in page.tags}
    words = " ".join(page.words)
    assert report.name in words and f"Pattern: {report.measured.pattern}." in words
    assert all(sentence in words for sentence in (*report.verdict.sentences, *report.verdict.limits))
    assert shown(report.values["kurtosis_low"]) in words and scan_page.FIELDS["kurtosis_low"] in words
    assert ("Outlier coordinates: none." in words) == (name != "outlier")
    assert ("constant offset" in words) == (name == "outlier") and ("prunable" in words) == (name != "sparse")


# The page


class Page(HTMLParser):
    """What a page has: tags with attributes, ids, text of each svg's own title and description."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.open, self.text_of, self.words = [], [], {}, []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.open.append(dict(attributes).get("id"))

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        self.open.pop()

    def handle_data(self, data):
        self.words.append(data)
        if self.open and self.open[-1]:
            self.text_of[self.open[-1]] = data


VOID = re.compile(r"<(meta|br|img|link|hr|input)\b[^>]*[^/]>")


@pytest.mark.parametrize("name", ["outlier", "sparse", "gaussian"])
def test_page_is_whole_and_every_figure_has_a_text(reports, name):
    report = reports[name]
    markup = report.to_html()
    page = Page(markup)
    assert page.open == [] and not VOID.search(markup)
    tags = [tag for tag, _ in page.tags]
    assert not {"script", "link", "img", "iframe", "object", "form", "base"} & set(tags)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|src=|\bon[a-z]+=", markup.split("</head>")[0])
    assert not [
        value for _, attributes in page.tags for key, value in attributes.items() if key in ("href", "src")
    ]
    assert "http" not in markup and "$" not in markup
    figures = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(figures) == tags.count("figure") == (3 if name == "sparse" else 4)
    for attributes in figures:
        assert attributes["role"] == "img"
        title, words = (page.text_of[key] for key in attributes["aria-labelledby"].split())
        assert re.search(r"\d", title) and len(title) > 40 and len(words) > 40
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert [tag for tag in tags if re.fullmatch(r"h\d", tag)] == ["h1", "h2", "h3", "h2", "h2", "h2"]
    assert 'lang="en"' in markup and "nan" not in markup.lower().replace("finance", "")
    words = " ".join(page.words)
    assert all(sentence in words for sentence in (*report.verdict.sentences, *report.verdict.limits))
    assert all(label in words for label in scan_references.table()["label"])


def test_figures_say_the_numbers(reports):
    report, page = reports["outlier"], Page(reports["outlier"].to_html())
    values = report.values
    ends = f"{values['kurtosis_low']:.3g} to {values['kurtosis_high']:.3g}"
    assert f"95% interval {ends}" in " ".join(page.words) and f"mean kurtosis is {ends} (95%" in text_of(
        report
    )
    assert page.text_of["standing-title"].startswith(
        f"{ODD} has a kurtosis of {values['kurtosis']:.3g}, of which"
    )
    assert f"above {np.median(report.measured.k_N):.3g};" in page.text_of["kurtosis-title"]
    assert page.text_of["profile-title"].startswith("The furthest coordinate, 7, lies")
    kept = round(40 * (1 - values["prunable"]))
    assert page.text_of["agreement-title"].startswith(f"{kept} of 40 directions keep 98%")
    counts = [(float(attributes["height"]), attributes) for tag, attributes in page.tags if tag == "rect"]
    heights = np.array([height for height, _ in counts])
    expected = np.histogram(
        report.measured.k_N, 36, (values["kurtosis_gaussian"], report.measured.k_N.max() + 1e-9)
    )[0]
    assert np.allclose(heights / heights.max(), expected[expected > 0] / expected.max(), atol=0.01)
    marks = [a["class"] for tag, a in page.tags if tag in ("circle", "polygon")]
    table = scan_references.table()
    known = table["er"].notna()
    assert len(marks) == len(table) + 1
    assert sum("robust" in each for each in marks) == (table["er"] >= scan_references.robust_from()).sum()
    assert sum(each == "unknown" for each in marks) == (~known).sum() and marks.count("model") == 1


def test_axes_are_exact():
    x, log = svg.across(0, 10), svg.across(1, 100, log=True)
    assert x(0) == svg.LEFT and x(10) == svg.WIDTH - svg.RIGHT and log(10) == x(5)
    assert x.ticks() == [0, 2, 4, 6, 8, 10] and log.ticks() == [1, 2, 5, 10, 20, 50, 100]
    up = svg.upwards(0, 1, 200)
    assert up(0) == 200 - svg.BOTTOM and up(1) == svg.TOP and up.ticks()[1] == 0.2


def luminance(colour):
    channels = np.array([int(colour[n : n + 2], 16) for n in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4) @ [
        0.2126,
        0.7152,
        0.0722,
    ]


def test_colours_are_the_book_s_and_readable_on_both_grounds():
    style = Path(scan_page.__file__).with_suffix(".css").read_text("utf-8")
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    palette = {*plots.OKABE_ITO, *plots.COLOURS.values(), "#8b97a5", "#ffffff"}
    for side in (light, dark):
        colours = dict(re.findall(r"--(\w+): (#\w{6})", side))
        for name in ("robust", "fragile", "unknown", "model", "bar"):
            assert colours[name] in palette
        for name, least in {
            "ink": 7,
            "muted": 4.5,
            "robust": 3,
            "fragile": 3,
            "unknown": 3,
            "model": 3,
        }.items():
            for ground in ("paper", "raised") if least > 3 else ("paper",):
                low, high = sorted((luminance(colours[name]), luminance(colours[ground])))
                assert (high + 0.05) / (low + 0.05) >= least, (name, ground)


# The command


@pytest.fixture
def file(tmp_path):
    np.save(tmp_path / "mine.npy", made.planted("constant offset").numpy())
    return tmp_path / "mine.npy"


def test_command_scans_a_file_and_writes_both_reports(file, tmp_path, capsys):
    torch_head = made.head()
    np.save(tmp_path / "w.npy", torch_head.w_CD.numpy())
    out = ["--json", tmp_path / "a.json", "--html", tmp_path / "a.html", "--head", tmp_path / "w.npy"]
    code, words, err = run(capsys, file, *out)
    assert (code, err) == (0, "") and words.startswith("mine: 240 images, 128 features.")
    facts = json.loads((tmp_path / "a.json").read_text("utf-8"))
    VALID.validate(facts)
    expected = scan.features(made.planted("constant offset"), torch_head._replace(b_C=None))
    assert facts["measures"] == expected.values
    assert (tmp_path / "a.html").read_text("utf-8").startswith("<!doctype html>")


def test_exit_codes(file, capsys):
    code, _, err = run(capsys, file, "--fail-if", "kurtosis>10", "--fail-if", "outliers>1")
    assert code == 1 and re.fullmatch(r"featurelens: kurtosis>10 holds: kurtosis is [\d.]+\n", err)
    assert run(capsys, file, "--fail-if", "kurtosis>1000", "--fail-if", "outliers>1")[0] == 0
    code, _, err = run(capsys, file, "--fail-if", "outliers>0", "--fail-if", "top_share > 0.5")
    assert code == 1 and err.count("\n") == 2
    low = scan.features(made.planted("constant offset")).values["kurtosis_low"]
    assert low > 10
    assert run(capsys, file, "--fail-if", "kurtosis_low>10")[0] == 1
    assert run(capsys, file, "--fail-if", f"kurtosis_low>{low + 0.01:.6f}")[0] == 0


def test_a_type_error_is_one_line(folder, capsys, monkeypatch):
    def refuse(name):
        raise TypeError("own: expected a matrix of features, found a tuple")

    monkeypatch.setattr(zoo, "load", refuse)
    code, out, err = run(capsys, "own", "--images", folder)
    assert (code, out, err) == (2, "", "featurelens: own: expected a matrix of features, found a tuple\n")


def test_command_scans_an_encoder(folder, tmp_path, capsys):
    code, _, _ = run(capsys, ENCODER, "--images", folder, "--json", tmp_path / "a.json")
    facts = json.loads((tmp_path / "a.json").read_text("utf-8"))
    VALID.validate(facts)
    assert code == 0 and facts["name"] == ENCODER and facts["point"] == "joint"
    assert facts["images"]["images"] == "mine" and facts["measures"]["images"] == 11
    assert [each["key"] for each in facts["left_out"]] == ["torn.png"] and facts["measures"]["classes"] == 12


def test_a_report_names_what_is_left_out_and_why(folder):
    report = scan.scan(zoo.load(ENCODER), imagesets.load(folder))
    why = "Left out: 1, first torn.png: torn.png"
    assert report.losses.startswith(why) and "does not decode" in report.losses
    assert why in report.to_html() and why in report._repr_html_() and why in text_of(report, 200)
    assert scan.features(made.gaussian()).losses == ""


def test_a_folder_may_have_the_name_of_an_encoder(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ENCODER).mkdir(parents=True)
    assert run(capsys, ENCODER, "--images", folder)[0] == 0


def test_classes_are_rows_of_a_head_or_made_of_text(folder, tmp_path, capsys):
    names = tmp_path / "names.txt"
    for encoder, classes in {
        ENCODER: zoo_classes()[:3],
        tiny_towers.classifier(tmp_path / "timm"): ["goldfish", "n01440764", "great white shark"],
        tiny_towers.clip(tmp_path / "clip"): ["a thing", "another", "more", "most"],
    }.items():
        names.write_text("\n".join(classes) + "\n\n", "utf-8")
        code, _, _ = run(
            capsys, encoder, "--images", folder, "--classes", names, "--json", tmp_path / "a.json"
        )
        facts = json.loads((tmp_path / "a.json").read_text("utf-8"))
        assert code == 0 and facts["measures"]["classes"] == len(classes)


def zoo_classes():
    from featurelens.miniature import world

    return list(world.names("object"))


def test_rows_of_a_head_are_the_named_ones(tmp_path):
    from featurelens import scan_heads

    encoder = zoo.load(tiny_towers.classifier(tmp_path / "timm"))
    found = scan_heads.of_classes(encoder, ["goldfish", "n01440764", "great white shark"])
    assert found.w_CD.equal(encoder.head.w_CD[[1, 0, 2]]) and found.b_C.equal(encoder.head.b_C[[1, 0, 2]])
    assert found.point == "pre"
    with pytest.raises(ValueError, match="class 'crane': expected the name of one class, found one of 2"):
        scan_heads.of_classes(encoder, ["crane"])
    small = zoo.load(tiny_towers.classifier(tmp_path / "few", classes=7))
    with pytest.raises(
        ValueError,
        match=r"head of ImageNet.s 1,000 classes for class names, found a head of 7 classes without",
    ):
        scan_heads.of_classes(small, ["goldfish"])
    headless = wrap("own", Returns("both"), square(4))
    with pytest.raises(
        ValueError, match="own: expected a text side or a head for class names, found neither"
    ):
        scan_heads.of_classes(headless, ["goldfish"])


def bad_input(tmp_path):
    """Command lines that are wrong, and what is said about each."""
    h_ND = made.gaussian(20, 16)
    np.save(tmp_path / "good.npy", h_ND.numpy())
    np.save(tmp_path / "one.npy", h_ND[:1].numpy())
    np.save(tmp_path / "nan.npy", np.where(np.eye(20, 16) > 0, np.nan, h_ND.numpy()))
    np.save(tmp_path / "w.npy", made.head(4, 9).w_CD.numpy())
    (tmp_path / "a.csv").write_text("1,2")
    (tmp_path / "empty").mkdir()
    (tmp_path / "single").mkdir()
    Image.new("RGB", (40, 40), (9, 8, 200)).save(tmp_path / "single" / "a.png")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "a.png").write_bytes(b"")
    (tmp_path / "names.txt").write_text("cart\n")
    (tmp_path / "twice.txt").write_text("a\na\n")
    (tmp_path / "blank.txt").write_text("\n \n")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    good, single = tmp_path / "good.npy", ["--images", tmp_path / "single"]
    return {
        "a folder without images": (
            [ENCODER, "--images", tmp_path / "empty"],
            "no pictures|expected.*picture",
        ),
        "a folder that is not there": ([ENCODER, "--images", tmp_path / "none"], "found nothing at"),
        "no image that can be read": (
            [ENCODER, "--images", tmp_path / "torn"],
            "found 1 without: ",
        ),
        "one image": ([ENCODER, *single], "expected two images or more, found one"),
        "features of one image": ([tmp_path / "one.npy"], "expected two images or more, found one"),
        "features with NaN": ([tmp_path / "nan.npy"], "NaN or inf in 16 rows, first row 0"),
        "a head of another width": (
            [good, "--head", tmp_path / "w.npy"],
            "head: expected one of 16 features, found one of 9",
        ),
        "no head there": ([good, "--head", tmp_path / "none.npy"], "found nothing at"),
        "a class that is none": (
            [ENCODER, *single, "--classes", tmp_path / "names.txt"],
            "unknown class 'cart'",
        ),
        "a class twice": ([ENCODER, *single, "--classes", tmp_path / "twice.txt"], "found 'a' again"),
        "no classes": ([ENCODER, *single, "--classes", tmp_path / "blank.txt"], "one a line, found none"),
        "classes in other bytes": (
            [ENCODER, *single, "--classes", tmp_path / "bytes.txt"],
            "expected text in UTF-8",
        ),
        "classes of a file": ([good, "--classes", tmp_path / "names.txt"], "names need a model"),
        "both heads": ([good, "--classes", "a", "--head", "b"], "expected --head or --classes, found both"),
        "a field that is none": (
            [good, "--fail-if", "kurtosi>3"],
            "unknown field 'kurtosi': did you mean kurtosis",
        ),
        "no condition": ([good, "--fail-if", "kurtosis"], "expected a field, a comparison and a number"),
        "a condition on a head": (
            [good, "--fail-if", "prunable>0"],
            "expected a scan with a head, found one without",
        ),
        "a file of another kind": ([tmp_path / "a.csv"], "found a file of kind '.csv'"),
        "no file": ([tmp_path / "none.npy"], "found nothing at"),
        "a model without images": (
            [ENCODER],
            "expected --images with a model, or a file of features, found neither",
        ),
        "features with images": ([good, *single], "expected a model with --images, found features"),
        "a model that is none": (["miniature/clip-wob-resnet-s0", *single], "unknown encoder"),
        "a point that is none": ([ENCODER, *single, "--point", "jont"], "did you mean joint"),
        "a place for JSON that is none": (
            [good, "--json", tmp_path / "no" / "a.json"],
            "no folder that may be written",
        ),
        "a folder as a page": (
            [good, "--html", tmp_path / "empty"],
            "expected a file to write to, found a folder",
        ),
    }


@pytest.mark.parametrize("what", range(25))
def test_bad_input_is_one_line_and_exit_code_2(what, tmp_path, capsys):
    name, (arguments, message) = list(bad_input(tmp_path).items())[what]
    code, out, err = run(capsys, *arguments)
    last = err.splitlines()[-1]
    assert code == 2 and out == "", name
    assert last.startswith("featurelens: ") and re.search(message, last), (name, err)
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("tuple", r"expected a feature matrix \(N x D\), found tuple"),
        ("map", r"expected a feature matrix \(1 x D, floating\)"),
    ],
)
def test_a_network_that_returns_no_matrix(shape, message, folder, capsys, monkeypatch):
    monkeypatch.setattr(zoo, "load", lambda name: wrap(name, Returns(shape), square(8)))
    code, out, err = run(capsys, "mine", "--images", folder)
    assert code == 2 and out == "" and re.fullmatch(rf"featurelens: mine: {message}.*\n", err)


def test_all_wrong_command_lines_are_tried(tmp_path):
    assert len(bad_input(tmp_path)) == 25
