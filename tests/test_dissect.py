"""Dissecting an encoder: numbers against scikit-learn, the page in a browser, and whose pictures it shows."""

import base64
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from rich.console import Console
from sklearn.metrics import average_precision_score

from featurelens import concepts, conceptsets, dissect, dissect_page, dissect_pictures, kernels, zoo
from featurelens.cli import app
from featurelens.concept_labels import ConceptSet
from featurelens.dissect_report import Report, writable
from featurelens.dissect_rows import shown
from featurelens.encoder import wrap
from featurelens.extract import features
from featurelens.imagesets import ImageSet
from featurelens.miniature import sets, world
from featurelens.preprocess import square
from featurelens.store import FeatureStore

ENCODER = "miniature/clip-web-resnet-s0"
CHROMIUM = shutil.which("chromium", path="/usr/bin") or shutil.which("chromium")
SWITCHES = """
--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update
--disable-sync --no-first-run --virtual-time-budget=3000 --dump-dom
"""
ODD = '</script><b> & "it\'s" [red]'  # a folder's name may be nearly anything


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures of the miniature as category/concept/picture, one torn; a rare and a frequent concept."""
    root = tmp_path_factory.mktemp("pictures") / "mine"
    made = sets.load("base-val", limit=480)
    for i, (pixels, y, scene) in enumerate(
        zip(made.x_NHWC, made.y_N.tolist(), made.pictures.scene.tolist(), strict=True)
    ):
        kinds = [f"object/{made.classes[y]}", f"scene/{world.names('scene')[scene]}"]
        for kind in kinds + ["object/rare"] * (i < 12) + ["object/frequent"] * (i >= 100):
            (root / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / kind / f"{i:03d}.png")
    (root / "object" / made.classes[0] / "torn.png").write_bytes(b"no picture")
    return root


@pytest.fixture(scope="module")
def mine(folder):
    return conceptsets.load(folder)


@pytest.fixture(scope="module")
def encoder():
    return zoo.load(ENCODER)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return FeatureStore(tmp_path_factory.mktemp("features"))


@pytest.fixture(scope="module")
def report(encoder, mine, store):
    return dissect.dissect(encoder, mine, threshold=0.8, pictures=True, store=store)


def made_up(n_directions=12, n_concepts=5, count=60, seed=0, **changes):
    """A report on random average precisions, for what does not depend on features."""
    random = torch.Generator().manual_seed(seed)
    present_NT = torch.rand(count, n_concepts, generator=random) < 0.5
    names = [ODD, "night", "window", "sea", *(f"concept {t}" for t in range(4, n_concepts))][:n_concepts]
    kinds = [("scene", "part")[t % 2] for t in range(n_concepts)]
    images = ImageSet("made up", [str(i) for i in range(count)], [], None, {"images": "made up"}, solid)
    fields = {
        "encoder": wrap("own", Mean(), square(2)),
        "concept_set": ConceptSet(images, names, kinds, present_NT),
        "directions": "features",
        "point": "pre",
        "negatives": "balanced",
        "minimum": 1,
        "threshold": 0.9,
        "n_images": count,
        "judged": concepts.Labels(names, kinds, present_NT, torch.ones_like(present_NT), []),
        "found": concepts.Detection(
            names,
            kinds,
            torch.rand(2, n_directions, n_concepts, generator=random, dtype=torch.float64),
        ),
        "luck_RT": torch.full((2, n_concepts), 0.55, dtype=torch.float64),
        "ends": {},
        "failures": [],
        "date": "2024-02-29",
    }
    return Report(**(fields | changes))


class Mean(torch.nn.Module):
    """Mean colours: a network without a head."""

    def forward(self, x):
        return x.mean((2, 3))


def solid(i):
    return Image.new("RGB", (300, 200), (i % 256, i // 256, 0))


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        app(["dissect", *map(str, arguments)])
    out, err = capsys.readouterr()
    return end.value.code, out, err


# Numbers


def test_command_writes_table_summary_and_page(folder, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("FEATURELENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, ENCODER, "--concepts", folder, "--threshold", 0.8)
    made = tmp_path / "dissect-miniature-clip-web-resnet-s0-mine"
    assert (
        code == 0
        and err == ""
        and sorted(path.name for path in made.iterdir())
        == [
            "concepts.parquet",
            "index.html",
            "summary.json",
        ]
    )
    summary, table = (
        json.loads((made / "summary.json").read_text()),
        pd.read_parquet(made / "concepts.parquet"),
    )
    best = table.groupby("concept", observed=True)["ap"].max()
    assert summary["encoded"] == (best >= 0.8).sum() > 0
    assert out.startswith(f"{summary['encoded']} of {summary['n_concepts']} concepts encoded: ")
    assert out.splitlines()[-1] == "dissect-miniature-clip-web-resnet-s0-mine/index.html"
    assert len(out.splitlines()) <= 24  # a screen
    counts = {path.name: len(list(path.glob("*.png"))) for path in folder.glob("*/*")}
    assert sorted(summary["omitted"]) == sorted(name for name, n in counts.items() if n < 30)
    assert "rare" in summary["omitted"] and summary["n_concepts"] == len(counts) - len(summary["omitted"])
    torn = f"object/{world.names('object')[0]}/torn.png"
    assert [failure["key"] for failure in summary["failures"]] == [torn]
    assert "does not decode" in summary["failures"][0]["reason"]
    expected = {"n_images": 480, "n_directions": 128, "negatives": "balanced", "point": "pre", "minimum": 30}
    assert expected.items() <= summary.items() and summary["encoder"]["encoder"] == ENCODER
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", summary["date"]) and summary["concepts"]["images"] == "mine"
    # The page has pictures, since the folder is one's own.
    assert "data:image/webp" in (made / "index.html").read_text("utf-8")


def test_table_has_every_pair_as_scikit_learn_has_it(report, encoder, mine, store):
    table = report.table()
    assert list(table) == ["direction", "concept", "category", "sense", "ap", "positives"]
    assert table["ap"].dtype == np.float32 and len(table) == 128 * len(report.judged.names) * 2
    assert not table.duplicated(["direction", "concept", "sense"]).any()
    h_ND, _, row_N, _ = features(encoder, mine.images, store)
    random = np.random.default_rng(0)
    for row in table.iloc[random.choice(len(table), 60, replace=False)].itertuples():
        t, origin = report.judged.names.index(row.concept), mine.names.index(row.concept)
        kept_N, present_N = report.judged.considered_NT[:, t], mine.present_NT[row_N, origin]
        score_N = row.sense * h_ND[:, row.direction]
        assert row.ap == pytest.approx(average_precision_score(present_N[kept_N], score_N[kept_N]), abs=1e-6)
        assert row.category == mine.categories[origin]
        assert row.positives == min(int(present_N.sum()), int((~present_N).sum())) == int(kept_N.sum()) // 2


def test_positives_are_those_that_a_frequent_concept_is_judged_on(report, mine):
    positives = report.table().groupby("concept", observed=True)["positives"].unique()
    assert mine.present_NT[:, mine.names.index("frequent")].sum() == 380
    assert positives["frequent"].tolist() == [100]  # as many as are without it


def test_parquet_is_the_table(report, tmp_path):
    report.write(tmp_path)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "concepts.parquet"), report.table())


def test_summary_says_what_luck_gives(report, encoder, mine, store):
    h_ND, _, row_N, _ = features(encoder, mine.images, store)
    judged = concepts.labels(mine, "balanced", rows=row_N)
    luck_RT = concepts.by_luck(h_ND, torch.eye(128), judged, dissect.PERMUTATIONS)
    assert report.luck_RT.equal(luck_RT)
    low = made_up(threshold=0.55)  # all ten draws reach it
    assert low.summary()["encoded_by_luck"] == 5 and low.summary()["permutations"] == 2
    assert report.summary()["encoded_by_luck"] == 0 and report.n_images == len(row_N) == len(mine.images) - 1


def test_heads_directions_are_right_singular_vectors_up_to_the_rank(encoder, mine, store):
    found = dissect.dissect(encoder, mine, directions="head", negatives="prevalence", store=store)
    w_CD = encoder.head.w_CD
    rank = int(np.linalg.matrix_rank(w_CD.numpy()))
    assert found.point == "joint" and found.found.ap_2KT.shape[1] == rank and found.judged.considered_NT.all()
    h_ND, _, row_N, _ = features(encoder, mine.images, store, "joint")
    _, _, v_KD = np.linalg.svd(w_CD.double().numpy())
    present_N = mine.present_NT[row_N, mine.names.index(found.judged.names[0])]
    senses = [average_precision_score(present_N, s * h_ND.numpy() @ v_KD[0]) for s in (1, -1)]
    assert sorted(found.found.ap_2KT[:, 0, 0].tolist()) == pytest.approx(sorted(senses), abs=1e-4)
    assert found.found.ap_2KT.equal(
        concepts.detect(h_ND, kernels.directions(w_CD).v_DK[:, :rank], found.judged).ap_2KT
    )


def test_pictures_of_a_direction_are_first_in_the_sense_of_its_best_concept(report, encoder, mine, store):
    h_ND, _, row_N, _ = features(encoder, mine.images, store)
    detecting = {k for k in range(128) if (report.found.ap_KT[k] >= 0.8).any()}
    assert set(report.ends) == detecting != set()
    senses = set()
    for k, rows in report.ends.items():
        best = report.found.top(k, 1).iloc[0]
        senses.add(best["sense"])
        ranked = sorted(range(len(row_N)), key=lambda n, k=k, s=best["sense"]: -s * h_ND[n, k].item())
        scores = [h_ND[row_N.tolist().index(row), k].item() for row in rows]
        assert scores == [h_ND[n, k].item() for n in ranked[: dissect.ENDS]]
    assert senses == {1, -1}


# Bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["miniature/clip-web-resnet", "--concepts", "FOLDER"], "unknown encoder .* did you mean miniature/"),
        ([ENCODER, "--concepts", "dtd100"], "unknown image set 'dtd100': did you mean dtd10"),
        ([ENCODER, "--concepts", "dtd10"], "image set 'dtd10': set FEATURELENS_IMAGES"),
        ([ENCODER, "--concepts", "FOLDER/none"], "expected a folder or .tar of pictures, found nothing"),
        (
            ["miniature/supervised-resnet-s0", "--concepts", "FOLDER", "--point", "joint"],
            "unknown feature point of miniature/supervised-resnet-s0 'joint': known: pre",
        ),
        (
            ["miniature/random-init-resnet-s0", "--concepts", "FOLDER", "--directions", "head"],
            "miniature/random-init-resnet-s0: expected an encoder with a head, found none",
        ),
        (
            [ENCODER, "--concepts", "FOLDER", "--directions", "head", "--point", "pre"],
            "expected the point that the head reads, joint, found pre",
        ),
        ([ENCODER, "--concepts", "FOLDER", "--directions", "heads"], "unknown choice of directions 'heads'"),
        ([ENCODER, "--concepts", "FOLDER", "--negatives", "all"], "unknown choice of negatives 'all'"),
        *(
            ([ENCODER, "--concepts", "FOLDER", "--threshold", wrong], "threshold: expected a number above 0")
            for wrong in ("0", "-0.5", "1.01", "nan")
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(folder, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.setenv("FEATURELENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FEATURELENS_IMAGES", raising=False)
    arguments = [argument.replace("FOLDER", str(folder)) for argument in arguments]
    code, out, err = run(capsys, *arguments, "--out", tmp_path / "out")
    assert code == 2 and out == "" and err.count("\n") == 1
    assert re.match(f"featurelens: .*{message}", err) and not (tmp_path / "out").exists()


def test_a_file_in_the_folders_place_is_found_before_the_work(folder, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        code, _, err = run(capsys, ENCODER, "--concepts", folder, "--out", out)
        assert code == 2 and err.startswith(
            f"featurelens: expected a folder to write to at {out}, found a file"
        )
    assert (
        writable(tmp_path / "new" / "newer") == tmp_path / "new" / "newer" and not (tmp_path / "new").exists()
    )


def test_pictures_without_labels_and_pictures_without_features_are_failures(mine, encoder, store, report):
    unread = {"key": "a.png", "reason": "the picture is missing"}
    found = dissect.dissect(encoder, replace(mine, failures=[unread]), store=store)
    assert found.failures == [unread, *report.failures] and len(report.failures) == 1


def test_few_images_are_one_line(encoder, mine, store):
    with pytest.raises(ValueError, match="mine: expected concepts with 300 images with and without, found"):
        dissect.dissect(encoder, mine, minimum=300, store=store)


# Files


def test_only_files_of_these_names_are_replaced_each_as_a_whole(report, tmp_path, monkeypatch):
    for name in ("concepts.parquet", "summary.json", "index.html", "notes.txt", "results/old.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("old")
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(dissect_page, "page", failing)
        report.write(tmp_path)
    assert (tmp_path / "index.html").read_text() == "old"
    assert report.write(tmp_path) == tmp_path / "index.html"
    listing = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert listing == ["concepts.parquet", "index.html", "notes.txt", "results/old.json", "summary.json"]
    assert (tmp_path / "notes.txt").read_text() == (tmp_path / "results/old.json").read_text() == "old"
    json.loads((tmp_path / "summary.json").read_text())


def failing(report):
    raise RuntimeError


# The page


class Balance(HTMLParser):
    """Complains about tags that are not closed, or in another order than they were opened."""

    def __init__(self):
        super().__init__()
        self.open, self.addresses = [], []

    def handle_starttag(self, tag, attributes):
        self.addresses += [value for name, value in attributes if name in ("src", "href", "action", "data")]
        self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.addresses += [value for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def tree_of(page):
    """The page as a tree, without style and scripts; parsing fails where a value is not escaped."""
    bare = re.sub(r"<(style|script)\b.*?</\1>", "", page.removeprefix("<!doctype html>\n"), flags=re.S)
    return ElementTree.fromstring(bare)


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def text_of(element):
    return " ".join("".join(element.itertext()).split())


def test_page_is_complete_before_the_script_runs_and_fetches_nothing(report):
    for each in (report, made_up()):
        page = dissect_page.page(each)
        reader = Balance()
        reader.feed(page)
        reader.close()
        assert reader.open == [] and page.count("</script>") == 2 and "<b> &" not in page
        assert {address[0] for address in reader.addresses} == {"#"}
        assert not re.search(r"https?:|@import|url\(|//[a-z]", page.split('id="data"')[0])
        assert not re.search(r"https?:", page)
        tree = tree_of(page)
        rows = {
            kind: tree.findall(f".//section[@id='{kind}s']//tbody/tr") for kind in ("concept", "direction")
        }
        best = each.found.table().sort_values("ap", ascending=False, kind="stable")
        assert [text_of(row.find("th/a")) for row in rows["concept"]] == [
            " ".join(c.split()) for c in best["concept"]
        ]
        assert [text_of(row.find(".//b")) for row in rows["concept"]] == [shown(ap) for ap in best["ap"]]
        assert [row.get("data-direction") for row in rows["concept"]] == [str(k) for k in best["direction"]]
        assert [row.get("data-found") is not None for row in rows["concept"]] == (
            best["ap"] >= each.threshold
        ).tolist()
        counts = [int(row.findall("td")[0].text) for row in rows["direction"]]
        by_number = each.found.directions(each.threshold)["concepts"]
        numbers = [int(row.get("id").removeprefix("direction-")) for row in rows["direction"]]
        assert counts == sorted(counts, reverse=True) == [by_number[k] for k in numbers]
        for row, k in list(zip(rows["direction"], numbers, strict=True))[:5]:
            top = each.found.top(k, 1).iloc[0]
            assert text_of(row.findall("td")[3]).startswith(
                f"{' '.join(top['concept'].split())} {'↑' if top['sense'] > 0 else '↓'}"
            )


def test_top_of_the_page_says_what_the_numbers_mean(report, encoder, mine, store):
    words = text_of(tree_of(dissect_page.page(report)).find(".//header"))
    facts = report.summary()
    assert f"{facts['encoded']} of {facts['n_concepts']} concepts are encoded" in words
    assert "0.0 would be encoded by luck" in words and "an AP of about 0.5" in words
    assert (
        f"{shown(report.luck_RT.mean().item())} on average and {shown(report.luck_RT.max().item())} at most"
        in words
    )
    assert "fewer than 30 images with or without it: " in words and "rare" in words and "torn.png" in words
    judged = concepts.labels(mine, "prevalence", rows=features(encoder, mine.images, store).row_N)
    share_T = judged.present_NT.double().mean(0)
    other = dissect.dissect(encoder, mine, negatives="prevalence", store=store)
    words = text_of(tree_of(dissect_page.page(other)).find(".//header"))
    assert f"share of them: {share_T.min():.1%} to {share_T.max():.1%}" in words
    known = made_up()
    assert "nobody looked" not in dissect_page.page(known)
    known_NT = torch.ones_like(known.concept_set.present_NT)
    object.__setattr__(known.concept_set, "known_NT", known_NT)
    assert "nobody looked" in dissect_page.page(known)


@pytest.mark.parametrize("most", [100_000, 260, 1])
def test_listed_pairs_are_the_best_of_both_kinds_and_all_above_the_floor(monkeypatch, most):
    monkeypatch.setattr(dissect_page, "MAX_PAIRS", most)
    each = made_up(40, 25)
    pairs, floor = dissect_page.listed(each)
    ap_KT, down_KT = each.found.ap_KT, each.found.ap_2KT[1] > each.found.ap_2KT[0]
    expected = set()
    for k in range(40):
        expected |= {(k, t) for t in sorted(range(25), key=lambda t, k=k: -ap_KT[k, t])[:10]}
    for t in range(25):
        expected |= {(k, t) for k in sorted(range(40), key=lambda k, t=t: -ap_KT[k, t])[:10]}
    always = len(expected)
    expected |= {(k, t) for k in range(40) for t in range(25) if ap_KT[k, t] >= floor}
    places = list(zip(pairs["direction"], pairs["concept"], strict=True))
    assert len(places) == len(set(places)) and set(places) == expected
    assert floor == 0.5 if most == 100_000 else floor > 0.5
    assert len(expected) <= max(most, always)
    values = [ap_KT[place].item() for place in places]
    assert values == sorted(values, reverse=True)
    for code, place, value in zip(pairs["code"], places, values, strict=True):
        assert code & 1 == down_KT[place] and bool(code & 2) == (value >= 0.9)
        assert f"{(code >> 2) / 1000:.3f}" == shown(value)


def test_numbers_are_rounded_down():
    assert [shown(ap) for ap in (0.8999, 0.29, 0.9, 1.0, 0.0004)] == [
        "0.899",
        "0.290",
        "0.900",
        "1.000",
        "0.000",
    ]


def test_a_page_of_broden_s_size_stays_small():
    each = made_up(2048, 1197, 100)
    page = dissect_page.page(each)
    pairs, floor = dissect_page.listed(each)
    assert len(page.encode()) < 4_000_000 and floor > 0.5
    assert max(len(column) for column in data_of(page)["pairs"].values()) <= dissect_page.MAX_PAIRS
    words = text_of(tree_of(page).find(".//header"))
    assert f"all pairs with an AP of {floor:g} or more: {len(pairs['code']):,} of 2,451,456 pairs" in words


def test_the_screen_shows_names_as_they_are_and_few_categories():
    each, text = made_up(3, 12), io.StringIO()
    each.found.categories[:] = [f"k[b]{t}" for t in range(12)]
    Console(file=text, width=100).print(each)
    lines = text.getvalue().splitlines()
    assert ODD in text.getvalue() and "k[b]0" in text.getvalue()
    assert any("and 4 more" in line for line in lines) and len(lines) <= 27


def test_many_categories_or_one_have_no_bars():
    def bars(kinds):
        each = made_up(3, len(kinds))
        each.found.categories[:] = kinds
        return dissect_page.page(each).count('class="share"')

    assert bars(["a"] * 5) == 0 and bars(list("aabbc")) == 3 and bars([f"k{t}" for t in range(31)]) == 0


# Pictures


def test_whose_pictures_may_be_shown(folder, tmp_path, monkeypatch):
    monkeypatch.delenv("FEATURELENS_IMAGES", raising=False)
    for name in ("published", "broden", "mine.tar", "dtd10.tar", "pacs60", "mine"):
        (tmp_path / name).mkdir()
    (tmp_path / "broden" / "index.csv").write_text("")
    (tmp_path / "instances_val.json").write_text("{}")
    (tmp_path / "published" / "any.tar").write_text("")
    (tmp_path / "hub" / "test").mkdir(parents=True)
    (tmp_path / "hub" / "test" / "nshards.txt").write_text("1")
    assert dissect_pictures.may_show(folder) and dissect_pictures.may_show(tmp_path / "mine.tar")
    assert dissect_pictures.may_show("miniature/base-val") and dissect_pictures.may_show(
        tmp_path / "published"
    )
    for name in ("dtd10", "imagenet_sample1000", "miniature/none", "none"):
        assert not dissect_pictures.may_show(name)
    for name in ("broden", "instances_val.json", "dtd10.tar", "pacs60", "hub", "hub/test"):
        assert not dissect_pictures.may_show(tmp_path / name)
    monkeypatch.setenv("FEATURELENS_IMAGES", str(tmp_path / "published"))
    (tmp_path / "link").symlink_to(tmp_path / "published" / "any.tar")
    for name in ("published", "published/any.tar", "published/../published/any.tar", "link"):
        assert not dissect_pictures.may_show(tmp_path / name)
    assert dissect_pictures.may_show(tmp_path / "mine")


def test_named_sets_of_the_images_folder_never_show_theirs(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(conceptsets, "load", lambda name: made_up().concept_set)
    asked = []
    monkeypatch.setattr(dissect, "dissect", lambda *_, pictures, **__: asked.append(pictures) or made_up())
    for name in ("dtd10", "miniature/base-val"):
        assert run(capsys, ENCODER, "--concepts", name, "--out", tmp_path / name)[0] == 0
    assert asked == [False, True]


def test_a_report_has_pictures_only_if_asked(encoder, mine, store, report):
    plain = dissect.dissect(encoder, mine, threshold=0.8, store=store)
    assert plain.ends == {} and "data:image" not in dissect_page.page(plain)
    page = dissect_page.page(report)
    data = data_of(page)["pictures"]
    assert {int(k): len(places) for k, places in data["of_direction"].items()} == dict.fromkeys(
        report.ends, 6
    )
    assert len(data["uris"]) == len({row for rows in report.ends.values() for row in rows})
    for k, places in data["of_direction"].items():
        for place, row in zip(places, report.ends[int(k)], strict=True):
            picture = base64.b64decode(data["uris"][place].removeprefix("data:image/webp;base64,"))
            (tmp := Image.open(io.BytesIO(picture))).load()
            difference = np.asarray(tmp.convert("RGB"), float) - np.asarray(mine.images[row], float)
            assert np.abs(difference).mean() < 20


def test_pictures_are_small_and_stop_at_the_bound(monkeypatch):
    images = made_up(count=60).concept_set.images
    ends = {k: [6 * k + n for n in range(6)] for k in range(9)} | {9: [0, 1, 2, 3, 4, 5]}
    every = dissect_pictures.copies(images, ends)
    assert len(every.uris) == 54 and every.of_direction[9] == every.of_direction[0]
    size = sum(map(len, every.uris))
    first = Image.open(io.BytesIO(base64.b64decode(every.uris[0].partition(",")[2])))
    assert first.size == (96, 64)
    monkeypatch.setattr(dissect_pictures, "MAX_BYTES", size // 2)
    some = dissect_pictures.copies(images, ends)
    assert sum(map(len, some.uris)) <= size // 2 and 3 <= len(some.of_direction) <= 5
    assert some.uris == every.uris[: len(some.uris)]
    each = made_up(ends=ends, threshold=0.5)
    words = text_of(tree_of(dissect_page.page(each)).find(".//header"))
    assert re.search(r"Pictures: the first images along [345] of the 10 directions", words)


def test_a_picture_that_is_gone_leaves_a_gap_only():
    def gone(i):
        if i == 1:
            raise OSError
        return solid(i)

    images = made_up().concept_set.images
    object.__setattr__(images, "decode", gone)
    found = dissect_pictures.copies(images, {4: [0, 1, 2], 7: [1, 2, 3]})
    assert len(found.uris) == 3 and found.of_direction == {4: [0, 1], 7: [1, 2]}


# In a browser

STEPS = """
<script>
const one = selector => document.querySelector(selector);
const all = selector => [...document.querySelectorAll(selector)];
const visible = kind => all(`#list-${kind}s tbody tr:not([hidden]):not(.detail)`).map(row => row.id);
const seen = {};
function type(text) {
  one("input[type=search]").value = text;
  one("input[type=search]").dispatchEvent(new Event("input"));
  return [visible("concept"), visible("direction"), all("nav .count").map(count => count.textContent)];
}
function press(selector) { one(selector).click(); }
const shown = () => ["concept", "direction"].filter(kind => !one(`#list-${kind}s`).hidden);
const detail = () => all(".detail li").map(item => item.textContent.replace(/\\s+/g, " ").trim());
seen.start = [shown(), one("form").hidden, all(".detail").length];
for (const text of ["", "WIN", "1", "11", "night sea", "nothing at all"]) seen["find " + text] = type(text);
seen.none = all(".none").map(line => line.hidden);
type("");
one("input[type=checkbox]").click();
seen.only = [visible("concept"), visible("direction")];
one("input[type=checkbox]").click();
const heads = kind => all(`#list-${kind}s thead button`);
heads("concept")[0].click();
seen.byName = [visible("concept"), heads("concept")[0].closest("th").getAttribute("aria-sort")];
heads("concept")[2].click();
heads("concept")[2].click();
seen.byAp = [visible("concept"), heads("concept")[2].closest("th").getAttribute("aria-sort")];
press("#direction-3 th a");
seen.direction = [location.hash, shown(), detail(), one("#direction-3 th a").getAttribute("aria-expanded"),
  document.activeElement.textContent, one("#direction-3").nextSibling.className];
type("zzz");
press(".detail li a");
setTimeout(() => {
  seen.followed = [location.hash, shown(), one("tr.open").id, one("input[type=search]").value, detail()];
  seen.more = all(".detail button").map(button => button.textContent);
  all(".detail button").forEach(button => button.click());
  seen.all = detail();
  press("tr.open th a");
  seen.closed = [location.hash, all(".detail").length];
  history.back();
  setTimeout(() => {
    seen.back = [location.hash, all(".detail").length];
    const result = btoa(unescape(encodeURIComponent(JSON.stringify(seen))));
    document.body.innerHTML = `<pre id="result">${result}</pre>`;
  }, 300);
}, 300);
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_in_a_browser_the_page_searches_sorts_and_opens(tmp_path: Path):
    each = made_up(14, 5, threshold=0.95)
    page = tmp_path / "page.html"
    page.write_text(dissect_page.page(each).replace("</body>", f"{STEPS}</body>"), encoding="utf-8")
    command = [CHROMIUM, *SWITCHES.split(), f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()]
    dumped = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    seen = json.loads(base64.b64decode(re.search('id="result">(.+?)<', dumped)[1]).decode())
    ap_KT, names = each.found.ap_KT, each.found.names
    best, found = each.found.table(), ap_KT >= 0.95
    by_ap = [f"concept-{t}" for t in best.sort_values("ap", ascending=False).index]

    def named(words):  # directions whose best or detected concepts have the words
        kept = []
        for k in range(14):
            listed = {int(ap_KT[k].argmax()), *found[k].nonzero()[:, 0].tolist()}
            if all(any(word in names[t] for t in listed) for word in words):
                kept.append(f"direction-{k}")
        return kept

    assert seen["start"] == [["concept"], False, 0]
    assert seen["find "][0] == by_ap and len(seen["find "][1]) == 14 and seen["find "][2] == ["5", "14"]
    concepts_found, directions_found, counts = seen["find WIN"]
    assert concepts_found == ["concept-2"] and sorted(directions_found) == sorted(named(["window"]))
    assert counts == ["1 of 5", f"{len(named(['window']))} of 14"]
    assert sorted(seen["find 1"][1]) == sorted(f"direction-{k}" for k in (1, 10, 11, 12, 13))
    assert set(seen["find 1"][0]) == {
        f"concept-{t}" for t, k in enumerate(best["direction"]) if str(k)[0] == "1"
    }
    assert seen["find 11"][1] == ["direction-11"]
    assert seen["find night sea"][0] == [] and sorted(seen["find night sea"][1]) == sorted(
        named(["night", "sea"])
    )
    assert seen["find nothing at all"][:2] == [[], []] and seen["none"] == [False, False]
    assert sorted(seen["only"][0]) == sorted(f"concept-{t}" for t in range(5) if found[:, t].any())
    assert sorted(seen["only"][1]) == sorted(f"direction-{k}" for k in range(14) if found[k].any())
    assert seen["byName"][1] == "ascending" and seen["byAp"] == [by_ap[::-1], "ascending"]
    assert set(seen["byName"][0]) == set(by_ap)

    def line(t, k, other):
        arrow, value = (
            "↓" if each.found.ap_2KT[1, k, t] > each.found.ap_2KT[0, k, t] else "↑",
            ap_KT[k, t].item(),
        )
        what = (
            f"{names[t]} {arrow} {each.found.categories[t]}"
            if other == "concept"
            else f"direction {k} {arrow}"
        )
        return f"{what}{shown(value)}"

    order = ap_KT[3].argsort(descending=True).tolist()
    assert seen["direction"][:2] == ["#direction-3", ["direction"]]
    assert seen["direction"][2] == [line(t, 3, "concept") for t in order]
    assert seen["direction"][3:] == ["true", "3", "detail"]
    t = order[0]
    ranked = [line(t, k, "direction") for k in ap_KT[:, t].argsort(descending=True).tolist()]
    assert seen["followed"] == [f"#concept-{t}", ["concept"], f"concept-{t}", "", ranked[:10]]
    every = [k for k in range(14) if line(t, k, "direction") in seen["all"]]
    assert seen["all"] == ranked[: len(every)] and seen["more"] == [f"Show all {len(every)} listed"]
    assert seen["closed"] == ["#concepts", 0] and seen["back"] == [f"#concept-{t}", 1]


def test_colours_are_readable_on_both_grounds():
    style = Path(dissect_page.__file__).with_suffix(".css").read_text()
    pairs = {name: both for name, *both in re.findall(r"--(\w+): light-dark\((#\w+), (#\w+)\)", style)}
    for side in (0, 1):
        for ground in ("paper", "raised"):
            for name in ("ink", "muted", "accent"):
                assert contrast(pairs[name][side], pairs[ground][side]) >= 4.5


def contrast(one, other):
    """WCAG 2 contrast ratio of two #rrggbb colours."""

    def luminance(colour):
        channels = np.array([int(colour[n : n + 2], 16) for n in (1, 3, 5)]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
