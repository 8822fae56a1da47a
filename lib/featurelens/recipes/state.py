"""The state of a run on disk: whole or not at all, and never that of another run."""

import csv
import io
import json
from dataclasses import dataclass, field
from pathlib import Path

import torch

from featurelens import atomic

METRICS = ("epoch", "step", "loss", "lr", "accuracy", "kurtosis_pre", "kurtosis_joint")
SPEED = ("step", "images_per_second")
FAILURES = ("set", "picture", "reason")


@dataclass
class Log:
    """Rows that a run has written: metrics, speed (apart, since it is never the same twice), failures."""

    metrics: list[dict] = field(default_factory=list)
    speed: list[dict] = field(default_factory=list)
    failures: dict[str, list[str]] = field(default_factory=dict)

    def fail(self, pictures: str, found: list[tuple[str, str]]) -> None:
        """Note pictures that did not decode, each once."""
        for key, reason in found:
            self.failures.setdefault(f"{pictures}/{key}", [pictures, key, reason])

    def write(self, out: Path) -> None:
        """Write ``metrics.csv``, ``speed.csv`` and ``failures.csv``."""
        failures = [dict(zip(FAILURES, row, strict=True)) for row in self.failures.values()]
        tables = {
            "metrics": (METRICS, self.metrics),
            "speed": (SPEED, self.speed),
            "failures": (FAILURES, failures),
        }
        for name, (columns, rows) in tables.items():
            text = io.StringIO()
            writer = csv.DictWriter(text, columns, lineterminator="\n")
            writer.writeheader()
            for row in rows:
                writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})
            atomic.write_text(out / f"{name}.csv", text.getvalue())


@dataclass(frozen=True)
class State:
    """The file ``state.pt`` of a run, and the run it has to belong to."""

    path: Path
    identity: dict

    def read(self) -> dict | None:
        """What was saved, on the CPU; None if nothing was.

        Raises:
            ValueError: the state of another run, or not a state. The file stays as it is.
        """
        if not self.path.exists():
            return None
        try:
            saved = torch.load(self.path, map_location="cpu", weights_only=True)
            identity = json.loads(saved["identity"])
        except Exception as error:  # whatever torch and zip make of a file that is something else
            reason = " ".join(str(error).split())[:100]
            raise ValueError(f"{self.path}: expected the saved state of a run, found: {reason}") from error
        belongs(self.path, identity, self.identity)
        return saved

    def write(self, **parts: object) -> None:
        """Save tensors and plain values in place of what was saved before."""
        with atomic.replacing(self.path) as part:
            torch.save({**parts, "identity": json.dumps(self.identity)}, part)


def belongs(path: Path, found: dict, expected: dict) -> None:
    """Refuse what was made by another recipe, or from other data.

    Raises:
        ValueError: the first key that differs.
    """
    expected = json.loads(json.dumps(expected))
    for key in [*expected, *found]:
        if found.get(key) != expected.get(key):
            first, second = (str(values.get(key))[:80] for values in (expected, found))
            raise ValueError(
                f"{path} belongs to another run: expected {key} {first}, found {second}; it is left as it is"
            )
