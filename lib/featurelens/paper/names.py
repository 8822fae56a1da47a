"""What the image sets, and the scale, are called: chapter 1's names, and those of ``imagesets.load``."""

from featurelens import hub_imagesets

SCALE = "paper"
SETS = {row["called"]: name for name, row in hub_imagesets.table().items()}
