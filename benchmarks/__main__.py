"""Run every benchmark and print the table: ``python -m benchmarks [name …]``."""

import sys
from importlib import import_module
from pathlib import Path

from benchmarks import harness

names = sys.argv[1:] or sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
for name in names:
    harness.publish(import_module(f"benchmarks.{name}").run())
