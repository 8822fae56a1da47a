"""Made features whose pattern is known: Gaussian, sparse, or with a planted outlier coordinate."""

import numpy as np
import torch

from featurelens.heads import LinearHead


def gaussian(n: int = 240, width: int = 128, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.standard_normal((n, width))).float()


def planted(kind: str, at: int = 5, **shape) -> torch.Tensor:
    """Gaussian features with a large coordinate: alike in every image, of changing sign, or now and then."""
    h_ND = gaussian(**shape)
    rng = np.random.default_rng(1)
    size_N = {
        "constant offset": 20 * np.ones(len(h_ND)),
        "image-dependent": 20 * rng.choice([-1, 1], len(h_ND)),
        "both": 20 * (np.arange(len(h_ND)) % 20 < 13),
    }[kind]
    h_ND[:, at] += torch.from_numpy(size_N).float()
    return h_ND


def sparse(n: int = 240, width: int = 256, seed: int = 0) -> torch.Tensor:
    """What a ReLU leaves: most entries 0, others large, in each image elsewhere."""
    rng = np.random.default_rng(seed)
    on_ND = rng.random((n, width)) < 0.05
    return torch.from_numpy(on_ND * rng.exponential(1, (n, width))).float()


def head(classes: int = 40, width: int = 128, seed: int = 2, bias: bool = True) -> LinearHead:
    rng = np.random.default_rng(seed)
    w_CD, b_C = rng.standard_normal((classes, width)), rng.standard_normal(classes)
    return LinearHead(torch.from_numpy(w_CD).float(), torch.from_numpy(b_C).float() if bias else None, "pre")
