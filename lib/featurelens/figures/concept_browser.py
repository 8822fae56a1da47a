"""Concepts and directions: the best directions of a concept, the concepts of a direction, and first pictures.

Python writes one concept with its best direction; the script shows what a reader chooses.
"""

import base64
import html
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from featurelens import checks, concepts, explorers
from featurelens.concepts import Labels
from featurelens.dissect_rows import ARROWS
from featurelens.explorers import Searched, Sheet
from featurelens.figures import explorer as shared
from featurelens.figures.markup import Markup, options

FIRST = 12  # pictures of a direction
LISTED = 5  # directions of a concept, and concepts of a direction if no more are detected
ORDER = ("color", "texture", "material", "part", "object", "scene")
UNIT = 10**9  # average precisions are packed as whole parts of it
READ = {1: "↑\u00a0highest", -1: "↓\u00a0lowest"}


def browser(
    searches: Mapping[str, Searched],
    judged: Labels,
    sheet: Sheet,
    caption: str,
    concept: str | None = None,
    note: str = "",
    threshold: float = concepts.THRESHOLD,
) -> Markup:
    """Return the browser of what the directions of one or more networks detect.

    Args:
        searches: what each network's directions detect, by name.
        judged: the concepts; the sheet's pictures are the first of their images.
        sheet: P pictures.
        caption: what is shown; ``note``: where it comes from. Plain text.
        concept: shown first. Default: the first.
        threshold: average precision from which on a concept counts as detected.

    Raises:
        UnknownNameError: no such concept.
        ValueError: no search, one of other concepts or pictures, or fewer images than pictures.
    """
    t = _first(searches, judged, sheet, concept)
    packed = [_view(name, searched) for name, searched in searches.items()]
    view, signed_KT = packed[0]
    k, cut, name = int(abs(signed_KT[:, t]).argmax()), round(threshold * UNIT), judged.names[t]
    present_PT = judged.present_NT[: len(sheet.words)]
    places = view["ends"][k][int(signed_KT[k, t] < 0)]
    shows = present_PT[places, t].tolist()
    said = _said(view, name, t, k, signed_KT[k, t], cut, shows, present_PT[:, t].double().mean().item())
    words = {"said": said, "name_of_view": view["name"], "concept": name, "chosen": str(k), "note": note}
    words |= {"last": str(view["width"] - 1), "pictures": f"{len(sheet.words):,}"}
    parts = {key: html.escape(text) for key, text in words.items()} | {"threshold": f"{threshold:g}"}
    parts |= {"views": options(searches), "concepts": _grouped(judged, t)}
    marks = [_mark(shown, name, sheet.words[p]) for p, shown in zip(places, shows, strict=True)]
    parts["first"] = "".join(shared.picture(sheet, p, *mark) for p, mark in zip(places, marks, strict=True))
    parts["directions"] = "".join(
        _row(str(j), READ[_sense(signed_KT[j, t])], signed_KT[j, t], j == k, cut)
        for j in _order(signed_KT[:, t])[:LISTED]
    )
    kinds = [
        f"{kind}\u00a0{ARROWS[_sense(ap)]}" for kind, ap in zip(judged.categories, signed_KT[k], strict=True)
    ]
    listed = _order(signed_KT[k])[: max(LISTED, int((abs(signed_KT[k]) >= cut).sum()))]
    parts["detected"] = "".join(_row(judged.names[i], kinds[i], signed_KT[k, i], i == t, cut) for i in listed)
    content = {"views": [each for each, _ in packed], "names": judged.names, "categories": judged.categories}
    content["present"] = [column.nonzero()[:, 0].tolist() for column in present_PT.T]
    content |= {"threshold": cut, "unit": UNIT, "listed": LISTED}
    return shared.filled(Path(__file__), caption, sheet, content, parts)


def _order(signed: np.ndarray) -> list[int]:
    """Places of the largest values, the first of equal ones first."""
    return np.argsort(-abs(signed), kind="stable").tolist()


def _first(searches: Mapping[str, Searched], judged: Labels, sheet: Sheet, concept: str | None) -> int:
    """Check that all belongs together; the position of the concept that is shown first."""
    if not searches:
        raise ValueError("searches: expected at least one network, found none")
    for name, (found, luck_T, scores_PK) in searches.items():
        if found.names != judged.names or len(luck_T) != len(judged.names):
            raise ValueError(f"{name}: expected the {len(judged.names)} judged concepts, found others")
        wanted, shape = (len(sheet.words), len(found.ap_KT)), tuple(scores_PK.shape)
        if shape != wanted:
            raise ValueError(f"{name}: expected scores {wanted} (pictures x directions), found {shape}")
    if len(judged.present_NT) < len(sheet.words):
        raise ValueError(f"expected labels of {len(sheet.words)} pictures, found {len(judged.present_NT)}")
    if concept is None:
        return 0
    checks.known("concept", concept, judged.names)
    return judged.names.index(concept)


def _view(name: str, searched: Searched) -> tuple[dict, np.ndarray]:
    """What the script needs of one network, and its average precisions: negative if read downwards."""
    ap_KT, sense_KT = searched.found.ap_KT.numpy(), searched.found.sense_KT.numpy()
    signed_KT = (np.floor(ap_KT * UNIT + 1e-4) * sense_KT).astype("<i4")
    ends = np.stack(explorers.ends(searched.scores_PK, FIRST), 1)  # directions x 2 x pictures
    luck = [f"{luck:.3f}" for luck in searched.luck_T.tolist()]
    ap = base64.b64encode(signed_KT.tobytes()).decode()
    return {"name": name, "width": len(signed_KT), "ap": ap, "luck": luck, "ends": ends.tolist()}, signed_KT


def _sense(signed: int) -> int:
    return -1 if signed < 0 else 1


def _shown(signed: int) -> str:
    """Three decimals, rounded down: 0.8999 must not look like 0.9."""
    return f"{abs(int(signed)) // (UNIT // 1000) / 1000:.3f}"


def _said(
    view: dict, concept: str, t: int, k: int, signed: int, cut: int, shows: list[bool], share: float
) -> str:
    """What a reader has chosen, in words; the script says the same."""
    verdict = "detected" if abs(signed) >= cut else "not detected"
    way = "lowest" if signed < 0 else "highest"
    return (
        f"{concept}, direction {k} of {view['name']}, {way} scores first: average precision "
        f"{_shown(signed)}, {verdict}. By luck the best of {view['width']} has {view['luck'][t]}. It shows "
        f"in {sum(shows)} of the first {len(shows)} pictures and in {100 * share:.0f} % of all."
    )


def _mark(shown: bool, concept: str, words: str) -> tuple[str, str, str]:
    """Text below a picture, its description, and its class."""
    below, verb = ("✓ yes", "shows") if shown else ("– no", "does not show")
    return below, f"{words}; {verb} {concept}", ' class="fl-shows"' if shown else ""


def _row(name: str, words: str, signed: int, current: bool, cut: int) -> str:
    """A direction or a concept with its average precision."""
    now, tick = (' aria-current="true"' if current else ""), ("✓" if abs(signed) >= cut else "")
    width = f"{100 * abs(int(signed)) / UNIT:.1f}%"
    return (
        f'<tr{now}><th scope="row">{html.escape(name)}</th><td class="fl-words">{html.escape(words)}</td>'
        f'<td><span class="fl-track" aria-hidden="true"><i style="width: {width}"></i></span></td>'
        f"<td>{_shown(signed)}</td><td>{tick}</td></tr>"
    )


def _grouped(judged: Labels, chosen: int) -> str:
    """The choice of a concept, category by category."""
    kinds = [kind for kind in ORDER if kind in judged.categories]
    kinds += sorted(set(judged.categories) - set(kinds))
    parts = []
    for kind in kinds:
        parts.append(f'<optgroup label="{html.escape(kind)}">')
        for t, (name, category) in enumerate(zip(judged.names, judged.categories, strict=True)):
            if category == kind:
                now = ' selected="selected"' if t == chosen else ""
                parts.append(f'<option value="{t}"{now}>{html.escape(name)}</option>')
        parts.append("</optgroup>")
    return "".join(parts)
