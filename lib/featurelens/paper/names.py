"""What the image sets, and the scale, are called: chapter 1's names, and those of ``imagesets.load``."""

SCALE = "paper"
SETS = {
    "val": "val",
    "v2": "v2",
    "rendition": "r",
    "sketch": "sketch",
    "objectnet": "objectnet",
    "adversarial": "a",
}
