"""Average precision in plain torch, for accelerators: many directions at once, no loop over images.

In each direction the entries are sorted by concept and, within a concept, by their image's place. Running
totals along that order are the counts and ranks that the definition asks for.
"""

import torch

from featurelens.kernels.precision_entries import Entries

# Working memory per direction and entry (or image): about twenty arrays of 8 bytes at the peak.
BYTES = 160


def signed(scores_NK: torch.Tensor, listed: Entries, max_bytes: int) -> torch.Tensor:
    """Return ap_2KT of :func:`featurelens.kernels.precision.average_precision_signed`."""
    block = max(1, max_bytes // (BYTES * (len(scores_NK) + len(listed.image_E))))
    return torch.cat([_block(part_NB.T, listed) for part_NB in scores_NK.split(block, dim=1)], dim=1)


def _block(scores_BN: torch.Tensor, listed: Entries) -> torch.Tensor:
    n_images = scores_BN.shape[1]
    scores_BN, order_BN = scores_BN.sort(1)
    first_BN, last_BN = _groups(scores_BN)
    place_BN = torch.empty_like(order_BN).scatter_(1, order_BN, last_BN)  # of image n: where its group ends

    key_BE, entry_BE = (listed.concept_E * n_images + place_BN[:, listed.image_E]).sort(1)
    first_BE, last_BE = _groups(key_BE)
    concept_E = listed.concept_E.sort().values  # a concept's stretch is the same in every direction
    weight_BE = listed.weight_N[listed.image_E][entry_BE]
    present_BE = weight_BE * listed.present_E[entry_BE]

    def within_concept(x_BE: torch.Tensor, total_T: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        from_bottom_BE, below_BE = _totals(x_BE, first_BE, last_BE)
        before_E = (total_T.cumsum(0) - total_T)[concept_E]  # all of it belongs to earlier concepts
        return total_T[concept_E] - (below_BE - before_E), from_bottom_BE - before_E

    counts = within_concept(present_BE, listed.positives_T)
    if listed.chosen:
        ranks = within_concept(weight_BE, listed.considered_T)
    else:
        from_bottom_BN, below_BN = _totals(listed.weight_N[order_BN], first_BN, last_BN)
        place_BE = key_BE % n_images
        ranks = listed.weight_N.sum() - below_BN.gather(1, place_BE), from_bottom_BN.gather(1, place_BE)
    # Sums in fixed point: the order of integer additions cannot change a result, on any device.
    scale = 2.0 ** (62 - int(listed.weight_N.sum()).bit_length())
    sums_2BT = torch.zeros(
        2, len(scores_BN), len(listed.positives_T), dtype=torch.int64, device=scores_BN.device
    )
    for sums_BT, count_BE, rank_BE in zip(sums_2BT, counts, ranks, strict=True):
        share_BE = present_BE * (count_BE / rank_BE.clamp(min=1).double())
        sums_BT.index_add_(1, concept_E, (share_BE * scale).round_().to(torch.int64))
    return sums_2BT.double() / scale / listed.positives_T


def _groups(x_BX: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return, for each place in rising rows, the first and the last place with an equal value."""
    n_rows, n_places = x_BX.shape
    place_X = torch.arange(n_places, device=x_BX.device)
    border_BX = torch.ones(n_rows, n_places + 1, dtype=torch.bool, device=x_BX.device)
    border_BX[:, 1:-1] = x_BX[:, 1:] != x_BX[:, :-1]
    first_BX = (border_BX[:, :-1] * place_X).cummax(1).values
    after_BX = (border_BX[:, 1:] * place_X.flip(0)).flip(1).cummax(1).values.flip(1)
    return first_BX, n_places - 1 - after_BX


def _totals(x_BX: torch.Tensor, first_BX: torch.Tensor, last_BX: torch.Tensor) -> list[torch.Tensor]:
    """Return the running total at the end of each place's group, and the one before its start."""
    total_BX = x_BX.cumsum(1)
    return [total_BX.gather(1, last_BX), (total_BX - x_BX).gather(1, first_BX)]
