"""Ours against what a user would pick instead: same machine, same inputs, same run."""
