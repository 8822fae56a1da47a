"""Pictures of the miniature world, in rows."""

import textwrap

import torch
from matplotlib.figure import Figure

from featurelens import plots
from featurelens.miniature import captions, render, sets
from featurelens.miniature.world import sample


def gallery(rows: dict[str, str], columns: int = 12, pixels: int = 64) -> Figure:
    """The first pictures of several miniature image sets, one set a row.

    Args:
        rows: title of each image set, by its name.
        columns: pictures a row; with one per class, a column is a class.
        pixels: side of a picture; the networks see 32.
    """
    figure, axes = plots.subplots(len(rows), columns, size=(0.53 * columns + 1.0, 0.56 * len(rows)))
    for line, (name, title) in zip(axes, rows.items(), strict=True):
        chosen = sets.load(name, limit=400).pictures
        first = [int((chosen.object == c).nonzero()[0]) for c in range(columns)]
        pictures = render.render_pictures(chosen[first], pixels, pixels)
        for ax, picture in zip(line, pictures, strict=True):
            ax.imshow(picture.numpy(), interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        line[0].set_ylabel(title, rotation=0, ha="right", va="center")
    return figure


def captioned(image_set: str, index_N: torch.Tensor, pixels: int = 96) -> Figure:
    """Some pictures of an image set with their captions below."""
    pictures = sample(image_set, index_N)
    rendered, texts = render.render_pictures(pictures, pixels, pixels), captions.captions(pictures)
    figure, axes = plots.subplots(1, len(texts), size=(1.5 * len(texts), 2.2))
    for ax, picture, text in zip(axes, rendered, texts, strict=True):
        ax.imshow(picture.numpy(), interpolation="nearest")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        ax.set_xlabel(_wrapped(text), fontsize="small")
    return figure


def _wrapped(text: str, width: int = 19) -> str:
    return "\n".join(textwrap.wrap(text.replace(" ,", ",").replace(" :", ":"), width))
