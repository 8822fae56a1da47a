"""Extractions that are killed at any moment, and two at once: the store ends up with the same bytes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# One process, forked again and again: importing torch takes longer than the extractions.
FORKING = """
import hashlib, os, random, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_extract as t

def digest(place):
    files = (p for p in place.rglob("*") if p.is_file() and not p.name.endswith(".partial"))
    return {str(p.relative_to(place)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

def before_each(place, act):  # whatever this process does with a file or folder there: open, link, remove
    def hook(event, args):
        if args and str(args[0]).startswith(str(place)):
            act()
    sys.addaudithook(hook)

def kill(calls):  # a function that kills this process when it has been called more often
    left = iter(range(calls))
    return lambda: next(left, None) is None and os.kill(os.getpid(), signal.SIGKILL)

def start(place, act=lambda: None):
    if child := os.fork():
        return child
    code = 1
    before_each(place, act)
    try:
        t.extract([t.encoder(0), t.encoder(1)], t.images(bad=(3, 77)), t.FeatureStore(place, shard_rows=10))
        code = 0
    finally:
        os._exit(code)

def ended(child):
    return os.waitpid(child, 0)[1]

root = Path(sys.argv[2])
log = os.open(root / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
assert ended(start(root / "whole", lambda: os.write(log, b"."))) == 0
whole, steps = digest(root / "whole"), os.fstat(log).st_size
assert len(whole) == 64
random.seed(0)
for trial in range(8):
    place = root / f"killed-{trial}"
    for again in range(3):  # what is stored is not stored again: later runs are shorter, and may end
        code = ended(start(place, kill(random.randrange(steps))))
        assert code == signal.SIGKILL or (again and code == 0), code
        assert digest(place).items() <= whole.items()
    assert ended(start(place)) == 0 and digest(place) == whole
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
