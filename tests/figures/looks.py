"""What the tests of the figures read off a drawn figure."""

import pytest


def drawn(figure):
    """Lay the figure out, so that ticks and limits are those that will be seen."""
    figure.canvas.draw()
    return figure


def titles(figure):
    return [ax.get_title() for ax in figure.axes]


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def texts(legend):
    return [text.get_text() for text in legend.get_texts()]


def key(figure):
    """Entries of the only legend that belongs to the whole figure."""
    [legend] = figure.legends
    return texts(legend)


def near(pairs):
    return [pytest.approx(pair) for pair in pairs]
