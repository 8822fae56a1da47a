"""Extractions that are killed at any moment, and two at once: the store ends up with the same bytes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# One process, forked again and again: importing torch takes longer than the extractions.
FORKING = """
import hashlib, os, random, signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_extract as t

def digest(place):
    files = (p for p in place.rglob("*") if p.is_file() and not p.name.endswith(".partial"))
    return {str(p.relative_to(place)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

def start(place):
    if child := os.fork():
        return child
    code = 1
    try:
        t.extract([t.encoder(0), t.encoder(1)], t.images(bad=(3, 77)), t.FeatureStore(place, shard_rows=10))
        code = 0
    finally:
        os._exit(code)

def ended(child):
    return os.waitpid(child, 0)[1]

root, began = Path(sys.argv[2]), time.monotonic()
assert ended(start(root / "whole")) == 0
whole, took, kills = digest(root / "whole"), time.monotonic() - began, 0
assert len(whole) == 64
random.seed(0)
for trial in range(8):
    place = root / f"killed-{trial}"
    for _ in range(3):
        child = start(place)
        time.sleep(random.random() * took)
        os.kill(child, signal.SIGKILL)
        kills += ended(child) == signal.SIGKILL
        assert digest(place).items() <= whole.items()
    assert ended(start(place)) == 0 and digest(place) == whole
assert kills >= 5, kills
for trial in range(3):
    place = root / f"two-{trial}"
    assert [ended(child) for child in [start(place), start(place)]] == [0, 0]
    assert digest(place) == whole and not list(place.rglob("*.partial"))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_anywhere_or_two_at_once_the_bytes_are_the_same(tmp_path):
    command = [sys.executable, "-c", FORKING, str(Path(__file__).parent), str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, timeout=300, capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stderr
