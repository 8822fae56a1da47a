"""From zero-shot to finetuned in weight space: robustness and signatures along the way.

Source: Wortsman et al., 2022 (WiSE-FT), figure 1, with this book's signatures added.
"""

import pandas as pd
import torch

from featurelens import heads, interpolation, kernels, outliers, robustness
from featurelens.miniature import checkpoints, evaluate, privileged, sets, train
from featurelens.miniature.recipes import recipe
from featurelens.miniature.towers import Tower

ALPHAS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
SETS = ("base-val", "sketch", "rendition")


def names() -> list[str]:
    """Finetuned networks that ship: the ends of the paths."""
    return [name for name in checkpoints.names() if recipe(name).start]


def between(name: str, alpha: float) -> Tower:
    """The network at ``alpha`` on the way from its zero-shot start (0) to the finetuned one (1).

    Raises:
        ValueError: not a finetuned network, or ``alpha`` is not finite.
    """
    if recipe(name).start is None:
        raise ValueError(f"{name}: expected a finetuned network, such as {names()[0]}")
    start, end = train.initial(recipe(name)), checkpoints.load(name)
    mixed = checkpoints.build(recipe(name))
    mixed.load_state_dict(interpolation.interpolate(start.state_dict(), end.state_dict(), alpha))
    return mixed.eval().requires_grad_(False)


def path_table() -> pd.DataFrame:
    """Return accuracy, effective robustness and signatures of every finetuned network at each alpha.

    ``er_<shift>`` in points; ``kurtosis_<point>``, and ``lead``
    (:func:`featurelens.outliers.lead`) where the head reads; ``importance``, the share of the most
    important direction of the head.
    """
    loaded, fits = {name: sets.load(name) for name in SETS}, privileged.baseline_fits()
    rows = []
    for name in names():
        for alpha in ALPHAS:
            spec = recipe(name)
            facts = {"model": name, "backbone": spec.backbone, "seed": spec.seed, "alpha": alpha}
            rows.append(facts | _measured(between(name, alpha), loaded, fits))
    return pd.DataFrame(rows)


@torch.inference_mode()
def _measured(
    tower: Tower, loaded: dict[str, sets.MiniSet], fits: dict[str, robustness.BaselineFit]
) -> dict[str, float]:
    w_CD = tower.classifier.weight
    h = {name: evaluate.encode(tower, data) for name, data in loaded.items()}
    row = {
        f"accuracy_{name}": heads.accuracy(h[name]["joint"], w_CD, data.y_N) for name, data in loaded.items()
    }
    for shift in SETS[1:]:
        pair = row["accuracy_base-val"], row[f"accuracy_{shift}"]
        row[f"er_{shift}"] = robustness.effective_robustness(*pair, fits[shift])
    on_base = h["base-val"]
    for point, h_ND in on_base.items():
        row[f"kurtosis_{point}"] = outliers.mean_kurtosis(h_ND)
    row["lead"] = outliers.lead(on_base["joint"])
    own = kernels.directions(w_CD)
    row["importance"] = kernels.concentration(kernels.importance(own, on_base["joint"])).top_share
    return row
