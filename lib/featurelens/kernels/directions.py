"""Privileged directions: a head as a sum of directions, and how much each of them matters.

A head ``w_CD`` scores features by inner products, so it sees them only along its right singular vectors.
The plain definition comes first; the library's version adds checks, signs and bounded memory.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from featurelens import checks
from featurelens.kernels.moments import activation_kurtosis

# Rows of features per step: bounds the memory for cosines at 4096 x K.
ROWS = 4096
# Added to the mean second moment of reference features, relative to it: see reduced_rank.
RIDGE = 1e-6


class Directions(NamedTuple):
    """A head as a sum of K directions, ``w_CD = sum_k s_k u_Ck v_Dk^T``, all float64.

    ``v_DK`` says where in feature space a direction points, ``u_CK`` which classes it raises or lowers, and
    ``s_K`` how strongly. Columns of ``u_CK`` are orthonormal, those of ``v_DK`` have length 1.
    """

    u_CK: torch.Tensor
    s_K: torch.Tensor
    v_DK: torch.Tensor

    @property
    def rank(self) -> int:
        """Number of directions whose strength is above rounding error."""
        noise = max(len(self.u_CK), len(self.v_DK)) * torch.finfo(torch.float64).eps
        return int((self.s_K > noise * self.s_K.max()).sum())


class Concentration(NamedTuple):
    """How unequal importances are: share of the largest, effective number of directions, kurtosis."""

    top_share: float
    effective: float
    kurtosis: float


def importance_plain(w_CD: torch.Tensor, h_ND: torch.Tensor) -> torch.Tensor:
    """Return the importance of each right singular vector of a head, as the formula reads.

    Returns:
        i_K: sigma_k / sum(sigma) times the mean over images of ``|cos(v_k, h)|``.

    Source: Crabbé et al., "Interpreting CLIP" (TMLR 2024); dividing by the sum of sigma is this book's
        choice and cannot change the order.
    """
    _, s_K, v_KD = torch.linalg.svd(w_CD, full_matrices=False)
    cos_NK = (h_ND / h_ND.norm(dim=1, keepdim=True)) @ v_KD.T
    return s_K / s_K.sum() * cos_NK.abs().mean(0)


@torch.no_grad()
def directions(w_CD: torch.Tensor) -> Directions:
    """Return the singular value decomposition of a head, strongest direction first.

    Computed in float64 on the CPU, whatever the head's dtype and device, so that a head has the same
    directions everywhere; the largest entry of each ``v_k`` is positive. Directions beyond the rank, or of
    equal strength, are determined only up to a rotation among themselves.

    Args:
        w_CD: head, one row a class.

    Returns:
        Directions with K = min(C, D), on the device of ``w_CD``.

    Raises:
        TypeError: not a floating tensor.
        ValueError: not a non-empty matrix of finite numbers, or all its rows are equal: such a head cannot
            tell classes apart.
    """
    w_CD = _telling(w_CD)
    u_CK, s_K, v_KD = torch.linalg.svd(w_CD.double().cpu(), full_matrices=False)
    return _signed(u_CK, s_K, v_KD.T, w_CD.device)


@torch.no_grad()
def reduced_rank(w_CD: torch.Tensor, h_ND: torch.Tensor) -> Directions:
    """Return directions whose first k reproduce the *scores* of these features best, for every k.

    The singular value decomposition gives the best rank-k approximation of the head ``W``; this gives that
    of its scores ``W H^T`` (least squares): ``W_k = U_k U_k^T W`` with the left singular vectors ``U`` of
    ``W M^{1/2}``, where M is the mean second moment of the features. A millionth of M's mean eigenvalue is
    added to its diagonal, so that all directions together are the head even where there are fewer images
    than coordinates. The ``v_k`` are not orthogonal, and ``s_k`` need not fall: the order is 0, 1, 2, …

    Args:
        w_CD: head, one row a class.
        h_ND: features like those to be scored.

    Raises:
        TypeError, ValueError: as :func:`directions`; features and head of different width.

    Source: reduced-rank regression, Izenman (1975), with the head's own scores as the response.
    """
    w_CD, h_ND = _telling(w_CD), checks.features(h_ND)
    if h_ND.shape[1] != w_CD.shape[1]:
        raise ValueError(f"features: expected {w_CD.shape[1]} coordinates, found {h_ND.shape[1]}")
    w64_CD, m_DD = w_CD.double().cpu(), torch.zeros(2 * h_ND.shape[1:], dtype=torch.float64)
    for part_BD in h_ND.split(ROWS):
        m_DD += (part_BD.double().T @ part_BD.double()).cpu() / len(h_ND)
    m_DD.diagonal().add_(RIDGE * m_DD.trace() / len(m_DD))
    values_D, vectors_DD = torch.linalg.eigh(m_DD)
    root_DD = vectors_DD * values_D.clamp_(min=0).sqrt()
    u_CK = torch.linalg.svd(w64_CD @ root_DD, full_matrices=False).U
    b_DK = w64_CD.T @ u_CK
    s_K = b_DK.norm(dim=0)
    return _signed(u_CK, s_K, b_DK / s_K.clamp(min=torch.finfo(torch.float64).tiny), w_CD.device)


@torch.no_grad()
def importance(directions: Directions, h_ND: torch.Tensor) -> torch.Tensor:
    """Return the importance of each direction: relative strength times mean alignment with the features.

    Args:
        directions: of a head.
        h_ND: features of images; their lengths do not matter.

    Returns:
        i_K: (s_k / sum of s) times the mean over images of ``|cos(v_k, h)|``, float64.

    Raises:
        TypeError, ValueError: as :func:`featurelens.checks.features`; features of another width, or a row
            of zeros, which has no direction.

    >>> importance(directions(torch.eye(2)), torch.tensor([[3.0, 4.0]])).sort().values
    tensor([0.3000, 0.4000], dtype=torch.float64)
    """
    h_ND = checks.features(h_ND)
    _, s_K, v_DK = directions
    if h_ND.shape[1] != len(v_DK):
        raise ValueError(f"features: expected {len(v_DK)} coordinates, found {h_ND.shape[1]}")
    total_K = torch.zeros_like(s_K)
    for start in range(0, len(h_ND), ROWS):
        part_BD = h_ND[start : start + ROWS].double()
        length_B1 = part_BD.norm(dim=1, keepdim=True)
        if not length_B1.all():
            row = start + int(length_B1.argmin())
            raise ValueError(f"features: expected rows of non-zero length, found zeros in row {row}")
        total_K += ((part_BD / length_B1) @ v_DK).abs().sum(0)
    return s_K / s_K.sum() * total_K / len(h_ND)


def concentration(i_K: torch.Tensor) -> Concentration:
    """Return how unequal importances (or singular values) are.

    ``top_share`` is the largest one's share of the sum; ``effective`` the exponential of the entropy of
    the shares, 1 when a single direction has everything and K when all are equal; ``kurtosis`` that of
    the K numbers themselves, not minus 3.

    Raises:
        ValueError: not K > 1 non-negative numbers, or all equal (they have no kurtosis).

    Source: effective number, Hill (1973); as effective rank of a matrix, Roy and Vetterli (2007).
    """
    if i_K.ndim != 1 or len(i_K) < 2 or not (i_K >= 0).all():
        raise ValueError(f"importances: expected several non-negative numbers, found {tuple(i_K.shape)}")
    share_K = i_K.double() / i_K.sum()
    entropy = torch.special.entr(share_K).sum()
    kurtosis = activation_kurtosis(share_K[None])
    return Concentration(share_K.max().item(), entropy.exp().item(), kurtosis.item())


def overlap(directions: Directions, coordinates: Sequence[int]) -> torch.Tensor:
    """Return the share of each direction's squared length that lies in some coordinates.

    A direction that is unrelated to the axes has the share ``len(coordinates) / D`` on average.

    Raises:
        ValueError: a coordinate that does not exist, or one named twice.
    """
    width, named = len(directions.v_DK), list(coordinates)
    if wrong := [j for j in named if not 0 <= j < width]:
        raise ValueError(f"expected coordinates from 0 to {width - 1}, found {wrong[0]}")
    if len(set(named)) < len(named):
        raise ValueError(f"expected different coordinates, found {len(named) - len(set(named))} repeated")
    return directions.v_DK[named].square().sum(0)


def random_head(w_CD: torch.Tensor, seed: int) -> torch.Tensor:
    """Return a head of Gaussian rows as long as those of ``w_CD``: the control without any structure.

    Raises:
        TypeError, ValueError: as :func:`featurelens.checks.features`.
    """
    w_CD = checks.features(w_CD, "head")
    g_CD = torch.randn(w_CD.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    g_CD *= w_CD.double().cpu().norm(dim=1, keepdim=True) / g_CD.norm(dim=1, keepdim=True)
    return g_CD.to(w_CD)


def _telling(w_CD: torch.Tensor) -> torch.Tensor:
    """Check that a matrix can be a head."""
    w_CD = checks.features(w_CD, "head")
    if (w_CD == w_CD[0]).all():
        raise ValueError(f"head: expected rows that differ, found {len(w_CD)} equal rows")
    return w_CD


def _signed(u_CK: torch.Tensor, s_K: torch.Tensor, v_DK: torch.Tensor, device: torch.device) -> Directions:
    """Fix the sign that a decomposition leaves open: the largest entry of each v is positive."""
    sign_K = v_DK.gather(0, v_DK.abs().argmax(0, keepdim=True))[0].sign()
    sign_K[sign_K == 0] = 1
    return Directions((u_CK * sign_K).to(device), s_K.to(device), (v_DK * sign_K).to(device))
