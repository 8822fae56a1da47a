"""Stopping a training run of the miniature in the middle, for the tests that it goes on."""

from featurelens.miniature import train


def interrupt(monkeypatch, count):
    """Save every 4 steps, and stop training at its ``count``-th step; returns the numbers of all steps."""
    monkeypatch.setattr(train, "_SAVE_EVERY", 4)
    advance, calls = train._Run.advance, []

    def killed(run, batches):
        calls.append(run.step)
        if len(calls) == count:
            raise KeyboardInterrupt
        return advance(run, batches)

    monkeypatch.setattr(train._Run, "advance", killed)
    return calls
