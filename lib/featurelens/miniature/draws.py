"""Random numbers that are a function of their index, not of the order in which they are asked for.

A stateful generator gives image 7 other pixels when it is drawn in a batch of 8 than in a batch of 100.
Here every number is a hash of (seed, index, slot), so an image is the same in any batch, on any device.
The mixer is the 32-bit finaliser "lowbias32" (Wellons, 2018, hash-prospector), applied at each level.
"""

import torch

_MASK = 0xFFFFFFFF


def _mix(x: torch.Tensor) -> torch.Tensor:
    """Hash 32-bit integers held in int64, element by element."""
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _MASK
    x = ((x ^ (x >> 15)) * 0x846CA68B) & _MASK
    return x ^ (x >> 16)


def uniform(seed: int, index_N: torch.Tensor, slots: int, first: int = 0) -> torch.Tensor:
    """Uniform numbers in [0, 1), one row per index: slots ``first`` to ``first + slots - 1`` of that index.

    Returns float32 of shape (N, slots), multiples of 2**-24, so exact on every device.
    """
    seed_1 = _mix(torch.tensor([seed], dtype=torch.int64, device=index_N.device) & _MASK)
    image_N1 = _mix((seed_1 + _mix(index_N.long() & _MASK)) & _MASK)[:, None]
    slot_S = torch.arange(first + 1, first + slots + 1, device=index_N.device) * 0x9E3779B1
    return (_mix((image_N1 + slot_S) & _MASK) >> 8).float() / 2**24


def pixel_noise(seed: int, index_N: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Zero-mean, unit-variance noise of shape (N, H, W): a sum of two uniforms (a triangular law)."""
    u_NS = uniform(seed, index_N, height * width, first=1 << 16)
    # The high and the low twelve bits of one hash serve as two independent uniforms.
    v_NS = (u_NS * 4096) % 1.0
    return ((u_NS + v_NS - 1.0) * 6**0.5).view(-1, height, width)
