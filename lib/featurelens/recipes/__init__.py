"""Training recipes at the paper's scale: the controls of which no weights were published.

CLIP on ImageNet-Captions, CLIP finetuned on ImageNet, and the same towers trained on ImageNet's labels.
``recipes.load(path)`` makes an encoder of a trained network.
"""

from featurelens.recipes.config import Recipe, names, read

__all__ = ["Recipe", "load", "names", "read"]


def load(path):
    """A trained network as an encoder: see :func:`featurelens.recipes.weights.load`."""
    from featurelens.recipes import weights  # open_clip takes seconds to import

    return weights.load(path)
