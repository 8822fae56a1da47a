"""Pure functions on feature tensors: no files, no globals, no progress bars; torch and numpy only."""

from featurelens.kernels.directions import (
    Concentration,
    Directions,
    concentration,
    directions,
    importance,
    importance_plain,
    overlap,
    random_head,
    reduced_rank,
)
from featurelens.kernels.gap import gap_vector, modality_gap
from featurelens.kernels.moments import (
    activation_kurtosis,
    activation_kurtosis_plain,
    kurtosis_contributions,
    outlier_coordinates,
    random_rotation,
)
from featurelens.kernels.precision import (
    average_precision,
    average_precision_plain,
    average_precision_signed,
)
from featurelens.kernels.precision_chance import average_precision_by_chance, average_precision_resampled
from featurelens.kernels.pruning import decisions, pruning_curve, pruning_curve_plain, pruning_curves

__all__ = [
    "Concentration",
    "Directions",
    "activation_kurtosis",
    "activation_kurtosis_plain",
    "average_precision",
    "average_precision_by_chance",
    "average_precision_plain",
    "average_precision_resampled",
    "average_precision_signed",
    "concentration",
    "decisions",
    "directions",
    "gap_vector",
    "importance",
    "importance_plain",
    "kurtosis_contributions",
    "modality_gap",
    "outlier_coordinates",
    "overlap",
    "pruning_curve",
    "pruning_curve_plain",
    "pruning_curves",
    "random_head",
    "random_rotation",
    "reduced_rank",
]
