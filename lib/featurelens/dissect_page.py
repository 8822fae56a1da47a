"""The page of a dissection: concepts and directions, each leading to the other; nothing is fetched.

Python writes both tables; the script searches, sorts and opens them.
"""

import html
import json
import math
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import numpy as np

from featurelens import dissect_pictures, dissect_rows
from featurelens.dissect_rows import shown, thousandths

if TYPE_CHECKING:
    from featurelens.dissect_report import Report

TOP = 10  # pairs of each concept and of each direction that are always listed
FLOOR = 0.5  # pairs from this average precision on are listed too,
MAX_PAIRS = 100_000  # unless they are more: then the floor rises


def page(report: "Report") -> str:
    """Return the complete page, HTML."""
    style, script, body = (
        Path(__file__).with_suffix(end).read_text("utf-8").strip() for end in (".css", ".js", ".html")
    )
    pairs, floor = listed(report)
    order = report.found.directions(report.threshold).assign(ap=report.found.ap_KT.amax(1).numpy())
    order = order.sort_values(["concepts", "ap"], ascending=False, kind="stable")
    wanted = {k: report.ends[k] for k in order["direction"] if k in report.ends}
    copies = dissect_pictures.copies(report.concept_set.images, wanted)
    luck_T = report.luck_RT.mean(0).tolist()
    data = {
        "concepts": report.found.names,
        "categories": report.found.categories,
        "luck": [round(luck, 3) for luck in luck_T],
        "top": TOP,
        "pairs": pairs,
        "pictures": copies._asdict(),
    }
    packed = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c").replace("&", "\\u0026")
    words = _words(report, len(pairs["code"]), floor)
    parts = {name: html.escape(str(text)) for name, text in words.items()} | {
        "kinds": dissect_rows.kinds(report),
        "notes": "".join(f"<li>{html.escape(note)}</li>" for note in _notes(report, copies, len(wanted))),
        "concept_rows": "\n".join(dissect_rows.concepts(report, luck_T)),
        "direction_rows": "\n".join(dissect_rows.directions(report, order, luck_T, bool(copies.uris))),
        "strip_head": '<th scope="col" class="strip">Its first images</th>' if copies.uris else "",
        "look": "pixels" if report.concept_set.images.name.startswith("miniature/") else "",
    }
    return Template(body).substitute(parts, style=style, script=script, packed=packed)


def listed(report: "Report") -> tuple[dict[str, list[int]], float]:
    """The pairs that are listed, strongest first, and the average precision from which on all of them are.

    ``code`` is four times the average precision in thousandths, plus 2 from the threshold on, plus 1 where
    the sense is down.
    """
    ap_KT, down_KT = report.found.ap_KT.numpy(), report.found.ap_2KT.argmax(0).numpy()
    listed_KT = np.zeros(ap_KT.shape, bool)
    for axis, size in enumerate(ap_KT.shape):
        best = np.argsort(-ap_KT, axis, "stable").take(range(min(TOP, size)), axis)
        np.put_along_axis(listed_KT, best, True, axis)
    floors = np.arange(round(100 * FLOOR), 101) / 100
    fits = (floor for floor in floors if (listed_KT | (ap_KT >= floor)).sum() <= MAX_PAIRS)
    floor = next(fits, math.inf)
    direction_P, concept_P = (listed_KT | (ap_KT >= floor)).nonzero()
    order_P = np.argsort(-ap_KT[direction_P, concept_P], kind="stable")
    direction_P, concept_P = direction_P[order_P], concept_P[order_P]
    ap_P = ap_KT[direction_P, concept_P]
    code_P = 4 * thousandths(ap_P) + 2 * (ap_P >= report.threshold) + down_KT[direction_P, concept_P]
    columns = {"direction": direction_P, "concept": concept_P, "code": code_P}
    return {name: column.tolist() for name, column in columns.items()}, floor


def _words(report: "Report", n_listed: int, floor: float) -> dict[str, object]:
    """What the template says in words and numbers."""
    facts, luck_RT = report.summary(), report.luck_RT
    kinds = {
        "features": f"the coordinates of the features at “{report.point}”",
        "head": f"the right singular vectors of the head, which reads the features at “{report.point}”",
    }
    share_T = report.positive_T / report.judged.considered_NT.sum(0).numpy()
    negatives = {
        "balanced": "Each concept is judged on as many images with as without it: all of the rarer kind, a "
        "random draw of the other. A direction that knows nothing then has an AP of about 0.5.",
        "prevalence": "Each concept is judged on all images. A direction that knows nothing then has an AP "
        f"of about the concept’s share of them: {share_T.min():.1%} to {share_T.max():.1%}.",
    }
    return {
        "encoder": report.encoder.name,
        "concept_set": report.concept_set.images.name,
        "directions": kinds[report.directions],
        "negatives": negatives[report.negatives],
        "threshold": f"{report.threshold:g}",
        "n_directions": f"{facts['n_directions']:,}",
        "n_concepts": f"{facts['n_concepts']:,}",
        "n_images": f"{report.n_images:,}",
        "encoded": f"{facts['encoded']:,}",
        "by_luck": f"{facts['encoded_by_luck']:.1f}",
        "detecting": f"{int((report.found.ap_KT.amax(1) >= report.threshold).sum()):,}",
        "permutations": facts["permutations"],
        "luck_mean": shown(luck_RT.mean().item()),
        "luck_most": shown(luck_RT.max().item()),
        "top": TOP,
        "more": f"and all pairs with an AP of {floor:g} or more" if floor <= 1 else "and no others",
        "n_listed": f"{n_listed:,}",
        "n_pairs": f"{report.found.ap_KT.numel():,}",
        "point": report.point,
        "weights": report.encoder.identity["weights"][:12],
        "commit": facts["commit"],
        "date": report.date,
    }


def _notes(report: "Report", copies: dissect_pictures.Copies, wanted: int) -> Iterator[str]:
    """What is left out, and which pictures there are."""
    if report.concept_set.known_NT is not None:
        yield "Where nobody looked for a concept in an image, it counts as absent."
    if omitted := report.judged.omitted:
        few = f"with fewer than {report.minimum} images with or without it"
        yield f"Not judged, {few}: {len(omitted):,} concepts ({_some(omitted)})."
    if failures := report.failures:
        yield f"Left out: {len(failures):,} pictures ({_some([failed['key'] for failed in failures])})."
    if copies.uris:
        which = f"{len(copies.of_direction):,} of the {wanted:,} directions that detect a concept"
        yield (
            f"Pictures: the first images along {which}, in the sense of its best concept. "
            f"A page holds at most {dissect_pictures.MAX_BYTES / 2**20:g} MB of them."
        )
    else:
        yield "Pictures are shown of the miniature and of a folder of one’s own, if anything is detected."


def _some(names: list[str], n: int = 30) -> str:
    return ", ".join(names[:n]) + (f" and {len(names) - n:,} more" if len(names) > n else "")
