"""Pure functions on feature tensors: no files, no globals, no progress bars; torch and numpy only."""

from featurelens.kernels.moments import (
    activation_kurtosis,
    activation_kurtosis_plain,
    kurtosis_contributions,
    outlier_coordinates,
    random_rotation,
)

__all__ = [
    "activation_kurtosis",
    "activation_kurtosis_plain",
    "kurtosis_contributions",
    "outlier_coordinates",
    "random_rotation",
]
