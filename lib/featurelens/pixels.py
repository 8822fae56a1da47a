"""An image set whose pictures are decoded and resized already: for encoders that come one after another."""

from dataclasses import dataclass, field

import numpy as np
import torch

from featurelens.imagesets import ImageSet


@dataclass(frozen=True, eq=False)
class Held(ImageSet):
    """An image set with pixels (N x 3 x H x W, uint8) by geometry, and why some pictures have none.

    Everything else, the identity too, is that of the set it was made of; :func:`featurelens.decoding.hold`
    makes one.
    """

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)

    def pixels(self, geometry: str, rows: list[int]) -> torch.Tensor:
        """Pixels of some pictures (N x 3 x H x W, uint8).

        Raises:
            ValueError: pictures were not held in this geometry.
        """
        if geometry not in self.arrays:
            held = " or ".join(self.arrays)
            raise ValueError(f"{self.name}: expected a geometry that is held ({held}), found {geometry}")
        x_NCHW = self.arrays[geometry]
        if rows and rows[-1] - rows[0] == len(rows) - 1:  # consecutive rows are a view: nothing is copied
            return torch.from_numpy(x_NCHW[rows[0] : rows[-1] + 1])
        return torch.from_numpy(x_NCHW[rows])
