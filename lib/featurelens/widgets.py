"""Live controls for one's own features in a notebook; each change is computed again by the kernel.

The book's pages need none of this: their explorers hold all that they can show. Here any features, heads and
concepts will do. Needs ``ipywidgets``.
"""

import base64
import html
import io
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import torch

from featurelens import checks, explorers
from featurelens.concepts import Labels, detect, project
from featurelens.dissect_rows import shown as rounded_down
from featurelens.heads import LinearHead
from featurelens.imagesets import ImageSet
from featurelens.pruning import Labelled, curves

if TYPE_CHECKING:
    from ipywidgets import VBox

ORDERS = ("importance", "singular value", "centred", "reduced rank", "reversed", "outliers first")
SIDE, SHOWN = 96, 8  # pixels of a picture, and pictures at each end
SPAN = "display: inline-block; margin: 2px; text-align: center"


def pruning(head: LinearHead, sets: Mapping[str, Labelled], reference_ND: torch.Tensor) -> "VBox":
    """Show the accuracy of a head that keeps its first k directions: choose the order, and k.

    Args:
        head: on the features of ``sets``.
        sets: features with labels, by name.
        reference_ND: features that the orders are taken from, see :func:`featurelens.pruning.plans`.

    Raises:
        ModuleNotFoundError: ``ipywidgets`` is missing.
        TypeError, ValueError: as :func:`featurelens.pruning.curves`.
    """
    w = _ipywidgets()
    table = curves(head, sets, reference_ND, orders=ORDERS)
    exact = table.set_index(["order", "image_set", "k"])["accuracy"].to_dict()
    last = int(table["k"].max())
    order = w.Dropdown(options=ORDERS, description="Order")
    k = w.IntSlider(last, 0, last, description="Kept, k", continuous_update=True)

    def text() -> str:
        at = ([exact[order.value, name, n] for n in (k.value, last)] for name in sets)
        rows = [
            (name, *(f"{100 * share:.1f}" for share in both)) for name, both in zip(sets, at, strict=True)
        ]
        return _table(("accuracy (%)", f"{k.value} of {last} directions", "full head"), rows)

    return _shown(w, [order, k], text)


def kurtosis(features: Mapping[str, torch.Tensor], images: ImageSet | None = None) -> "VBox":
    """Show what a coordinate has to do with the kurtosis: choose the features, and the coordinate.

    Args:
        features: features (N x D) by name.
        images: their N pictures; the coordinate's highest and lowest are shown. Default: none.

    Raises:
        ModuleNotFoundError: ``ipywidgets`` is missing.
        TypeError, ValueError: no features, other images than features, or as
            :func:`featurelens.explorers.coordinates`.
    """
    w = _ipywidgets()
    tables = {name: explorers.coordinates(h_ND) for name, h_ND in _some(features).items()}
    for name, h_ND in features.items():
        _same_count(name, h_ND, images)
    view = w.Dropdown(options=list(tables), description="Features")
    field = w.BoundedIntText(0, 0, 0, description="Coordinate")

    def first(_: object = None) -> None:
        field.max = len(tables[view.value]) - 1
        field.value = int(tables[view.value]["share"].idxmax())

    def text() -> str:
        row = tables[view.value].loc[field.value]
        shown = [f"{value:.3f}" if isinstance(value, float) else str(value) for value in row]
        names = (name.replace("_", " ") for name in row.index)
        parts = [_table(("what", "value"), list(zip(names, shown, strict=True)))]
        if images is not None:
            z_ND = explorers.standard_scores(features[view.value])[:, [field.value]]
            below = [f"z = {z:+.1f}" for z in z_ND[:, 0].tolist()]
            parts += _ends(images, z_ND, below, ["Highest standard scores", "Lowest standard scores"])
        return "".join(parts)

    view.observe(first, "value")
    first()
    return _shown(w, [view, field], text)


def concepts(
    h_ND: torch.Tensor,
    judged: Labels,
    directions_DK: torch.Tensor | None = None,
    images: ImageSet | None = None,
) -> "VBox":
    """Show which directions detect a concept, and with what pictures first: choose the concept, and the rank.

    Args:
        h_ND: features of the images that concepts are judged on.
        judged: see :func:`featurelens.concepts.labels`.
        directions_DK: directions. Default: the coordinates.
        images: the N pictures. Default: none are shown.

    Raises:
        ModuleNotFoundError: ``ipywidgets`` is missing.
        TypeError, ValueError: other images than features, or as :func:`featurelens.concepts.detect`.
    """
    w = _ipywidgets()
    v_DK = torch.eye(checks.features(h_ND).shape[1]) if directions_DK is None else directions_DK
    found = detect(h_ND, v_DK, judged)
    _same_count("features", h_ND, images)
    pairs = sorted(zip(judged.categories, judged.names, strict=True))
    concept = w.Dropdown(options=[(f"{kind}: {name}", name) for kind, name in pairs], description="Concept")
    field = w.BoundedIntText(0, 0, v_DK.shape[1] - 1, description="Direction")

    def best(_: object = None) -> None:
        field.value = int(found.ap_KT[:, judged.names.index(concept.value)].argmax())

    def text() -> str:
        t, k = judged.names.index(concept.value), field.value
        sense = found.sense_KT[k, t].item()
        way = "highest" if sense > 0 else "lowest"
        said = f"<p>{html.escape(concept.value)}, direction {k}, {way} scores first: "
        parts = [f"{said}average precision {rounded_down(found.ap_KT[k, t].item())}</p>"]
        rows = [(row.concept, row.category, rounded_down(row.ap)) for row in found.top(k).itertuples()]
        parts.append(_table((f"concepts of direction {k}", "category", "average precision"), rows))
        if images is not None:
            score_N1 = sense * project(h_ND, v_DK[:, [k]])
            shows = ["✓ yes" if shown else "– no" for shown in judged.present_NT[:, t].tolist()]
            parts += _ends(images, score_N1, shows, [f"First pictures, {way} scores first"])
        return "".join(parts)

    concept.observe(best, "value")
    best()
    return _shown(w, [concept, field], text)


def _ipywidgets() -> ModuleType:
    try:
        import ipywidgets
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("widgets need ipywidgets, not found: pip install ipywidgets") from error
    return ipywidgets


def _some(features: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    if not features:
        raise ValueError("features: expected at least one matrix, found none")
    return features


def _same_count(name: str, h_ND: torch.Tensor, images: ImageSet | None) -> None:
    if images is not None and len(images) != len(h_ND):
        raise ValueError(f"{name}: expected features of {len(images)} images, found {len(h_ND)}")


def _shown(w: ModuleType, controls: Sequence, text: Callable[[], str]) -> "VBox":
    """The controls over what they say, written again at each change."""
    said = w.HTML(text())
    for control in controls:
        control.observe(lambda _: setattr(said, "value", text()), "value")
    return w.VBox([*controls, said])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    heads = "".join(f'<th scope="col">{html.escape(each)}</th>' for each in head)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _ends(images: ImageSet, score_N1: torch.Tensor, below: Sequence[str], names: Sequence[str]) -> list[str]:
    """Pictures with the highest scores, and with the lowest if that has a name too."""
    ends = explorers.ends(score_N1, min(SHOWN, len(images)))
    return [
        f"<p>{name}</p><p>{''.join(_picture(images, row, below[row]) for row in rows_1E[0].tolist())}</p>"
        for name, rows_1E in zip(names, ends, strict=False)
    ]


def _picture(images: ImageSet, row: int, below: str) -> str:
    data, small = io.BytesIO(), images[row].convert("RGB").resize((SIDE, SIDE))
    small.save(data, "PNG")
    uri, key = base64.b64encode(data.getvalue()).decode(), html.escape(images.keys[row])
    image = f'<img alt="{key}" src="data:image/png;base64,{uri}"/>'
    return f'<span style="{SPAN}">{image}<br/>{html.escape(below)}</span>'
