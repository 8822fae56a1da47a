"""Activation kurtosis: how unequally the coordinates of one feature vector carry its energy.

The plain definition comes first. The fast path computes the same number in one trip through memory: it
takes blocks of images that fit the cache and centres, squares and averages each of them there.
"""

from collections.abc import Iterator

import torch

from featurelens import checks

# Elements of a block. CPU: 2 MB of float32, still in cache, with few enough calls. GPU: large launches.
CPU_BLOCK = 2**19
GPU_BLOCK = 2**26


def activation_kurtosis_plain(h_ND: torch.Tensor) -> torch.Tensor:
    """Return the kurtosis of each row, as the formula reads.

    Args:
        h_ND: features, images x coordinates, floating.

    Returns:
        k_N: fourth standardised moment of each image's D coordinates, with the variance over D (not D - 1)
            and without subtracting 3.

    Source: the outlier-feature measure of Elhage et al., "Privileged Bases in the Transformer Residual
        Stream" (2023), taken over the coordinates of one image.
    """
    d_ND = h_ND - h_ND.mean(1, keepdim=True)
    s_N1 = d_ND.square().mean(1, keepdim=True).sqrt()
    return (d_ND / s_N1).pow(4).mean(1)


@torch.no_grad()
def activation_kurtosis(h_ND: torch.Tensor) -> torch.Tensor:
    """Return the kurtosis of each image's coordinates; its mean over images is the usual summary.

    Independent Gaussian coordinates give 3 (D - 1) / (D + 1); the largest possible value, all energy in one
    coordinate, is D - 2 + 1 / (D - 1). Scaling or shifting a row changes nothing; rotating it does.

    Args:
        h_ND: features, images x coordinates; float64 stays float64, half precision is widened to float32.

    Returns:
        k_N: kurtosis of each row, in the dtype of the (widened) features.

    Raises:
        TypeError: not a floating tensor.
        ValueError: not a non-empty matrix, NaN or inf entries, or rows whose coordinates are all equal.

    >>> activation_kurtosis(torch.eye(4)[:1])  # one-hot: D - 2 + 1 / (D - 1)
    tensor([2.3333])
    """
    h_ND = checks.features(h_ND)
    k_N = h_ND.new_empty(len(h_ND))
    for rows, d2_BD, var_B1 in _squares(h_ND):
        k_N[rows] = d2_BD.square_().mean(1) / var_B1[:, 0].square()
    return k_N


@torch.no_grad()
def kurtosis_contributions(h_ND: torch.Tensor) -> torch.Tensor:
    """Split the mean kurtosis over coordinates: c_j = mean over images of z_j^4, divided by D.

    The split is exact: c sums to the mean of :func:`activation_kurtosis`. Its largest share,
    ``c.max() / c.sum()``, tells an outlier direction (one coordinate in every image) from sparsity
    (another coordinate in each image), which the kurtosis alone cannot.

    Returns:
        c_D: contribution of each coordinate, float64.

    Raises:
        TypeError, ValueError: as :func:`activation_kurtosis`.
    """
    h_ND = checks.features(h_ND)
    c_D = h_ND.new_zeros(h_ND.shape[1], dtype=torch.float64)
    for _, d2_BD, var_B1 in _squares(h_ND):
        c_D += d2_BD.div_(var_B1).square_().sum(0)
    return c_D / h_ND.numel()


@torch.no_grad()
def outlier_coordinates(h_ND: torch.Tensor) -> torch.Tensor:
    """Return the outlier coordinates, largest first.

    Rule: in at least half of the images the coordinate alone adds 3 or more to the kurtosis
    (z_j^4 / D >= 3), as much as all coordinates of a Gaussian feature vector together. "Half of the
    images" keeps out sparse features, where a coordinate is large now and then.

    Returns:
        j_K: coordinates, int64, sorted by their contribution to the mean kurtosis.

    Raises:
        TypeError, ValueError: as :func:`activation_kurtosis`.

    >>> outlier_coordinates(torch.randn(8, 64, generator=torch.manual_seed(0)) + 20 * torch.eye(64)[5])
    tensor([5])
    """
    h_ND = checks.features(h_ND)
    n_images, n_coordinates = h_ND.shape
    count_D = h_ND.new_zeros(n_coordinates, dtype=torch.int64)
    c_D = h_ND.new_zeros(n_coordinates, dtype=torch.float64)
    for _, d2_BD, var_B1 in _squares(h_ND):
        z4_BD = d2_BD.div_(var_B1).square_()
        count_D += (z4_BD >= 3 * n_coordinates).sum(0)
        c_D += z4_BD.sum(0)
    order_D = c_D.argsort(descending=True)
    return order_D[2 * count_D[order_D] >= n_images]


def random_rotation(h_ND: torch.Tensor, seed: int) -> torch.Tensor:
    """Multiply the features by one random orthogonal matrix: the control that hides every special basis.

    The matrix is uniform (Haar) over the orthogonal group: QR of a Gaussian matrix with the signs of R's
    diagonal moved into Q, in float64 on the CPU, so that a seed means the same matrix on every device.

    Returns:
        Rotated features, same shape and dtype as the (widened) input; lengths and angles are unchanged.

    Raises:
        TypeError, ValueError: as :func:`featurelens.checks.features`.

    Source: Mezzadri, "How to generate random matrices from the classical compact groups" (2007).
    """
    h_ND = checks.features(h_ND)
    g_DD = torch.randn(2 * h_ND.shape[1:], generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    q_DD, r_DD = torch.linalg.qr(g_DD)
    q_DD = q_DD * r_DD.diagonal().sign()
    return (h_ND.double() @ q_DD.to(h_ND.device)).to(h_ND.dtype)


def _squares(h_ND: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
    """Yield (rows, squared deviations, their mean) block by block; the next step overwrites the block."""
    n_images, n_coordinates = h_ND.shape
    n_rows = max(1, (GPU_BLOCK if h_ND.is_cuda else CPU_BLOCK) // n_coordinates)
    buffer_BD = h_ND.new_empty(min(n_rows, n_images), n_coordinates)
    number = torch.finfo(h_ND.dtype)
    # Within these bounds fourth powers neither vanish nor overflow, and the mean's rounding is small.
    low, high, blur = (number.tiny / number.eps) ** 0.5, number.max**0.5 / n_coordinates, 1e4 * number.eps
    for start in range(0, n_images, n_rows):
        rows = slice(start, min(start + n_rows, n_images))
        mean_B1 = h_ND[rows].mean(1, keepdim=True)
        d2_BD = torch.sub(h_ND[rows], mean_B1, out=buffer_BD[: rows.stop - start]).square_()
        var_B1 = d2_BD.mean(1, keepdim=True)
        sound_B1 = (var_B1 > (blur * mean_B1).square_().clamp_(min=low)) & (var_B1 < high)
        if not sound_B1.all():
            weak_W = (~sound_B1).flatten().nonzero().flatten()
            d2_BD[weak_W] = _careful_squared_scores(h_ND[rows][weak_W], start + weak_W).to(h_ND.dtype)
            var_B1[weak_W] = 1
        yield rows, d2_BD, var_B1


def _careful_squared_scores(x_WD: torch.Tensor, row_W: torch.Tensor) -> torch.Tensor:
    """Return squared standard scores in float64, scaled and centred twice; refuse constant rows."""
    constant_W = (x_WD == x_WD[:, :1]).all(1)
    if constant_W.any():
        raise ValueError(
            f"features: expected rows whose coordinates differ, found {int(constant_W.sum())} constant rows "
            f"of {x_WD.shape[1]} coordinates, first row {int(row_W[constant_W][0])}"
        )
    x_WD = x_WD.double()
    x_WD = x_WD / x_WD.abs().amax(1, keepdim=True)
    for _ in range(2):
        x_WD = x_WD - x_WD.mean(1, keepdim=True)
    return x_WD.square() / x_WD.square().mean(1, keepdim=True)
