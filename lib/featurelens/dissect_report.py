"""What dissecting an encoder gives: a table of all pairs, a summary, a page, and one screen of text."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from featurelens import atomic, concepts, dissect_page, dissect_rows, stamps
from featurelens.concept_labels import ConceptSet
from featurelens.concepts import Detection, Labels
from featurelens.encoder import Encoder

SHOWN = 8  # categories, and concepts, on the screen


@dataclass(frozen=True, eq=False)
class Report:
    """What the directions of one encoder detect in one set of concepts.

    Attributes:
        encoder, concept_set: what was dissected, and with what.
        directions, point: each coordinate of the features at ``point`` (*features*), or the right singular
            vectors of the head that reads them (*head*).
        negatives, minimum, threshold: the rules; see :func:`featurelens.concepts.labels`.
        n_images: images with features.
        judged: the concepts and the images each was judged on.
        found: average precision of every pair.
        luck_RT: best average precision of each concept when images and labels are shuffled.
        ends: for directions that detect something, rows of the images at the end where their best concept
            is; empty unless pictures were asked for.
        failures: ``key`` and ``reason`` of each picture left out.
        date: of the computation, UTC.
    """

    encoder: Encoder
    concept_set: ConceptSet
    directions: str
    point: str
    negatives: str
    minimum: int
    threshold: float
    n_images: int
    judged: Labels
    found: Detection
    luck_RT: torch.Tensor
    ends: dict[int, list[int]]
    failures: list[dict[str, str]]
    date: str

    @property
    def positive_T(self) -> np.ndarray:
        """Images with each concept among those it was judged on."""
        return (self.judged.present_NT & self.judged.considered_NT).sum(0).numpy()

    def table(self) -> pd.DataFrame:
        """All pairs, one row a direction, concept and sense: average precision (float32), positives."""
        n_directions, n_concepts = self.found.ap_2KT.shape[1:]
        concept = np.tile(np.repeat(np.arange(n_concepts, dtype=np.int32), 2), n_directions)
        kinds = sorted(set(self.found.categories))
        kind_T = np.array([kinds.index(category) for category in self.found.categories])
        columns = {
            "direction": np.repeat(np.arange(n_directions, dtype=np.int32), 2 * n_concepts),
            "concept": pd.Categorical.from_codes(concept, self.found.names),
            "category": pd.Categorical.from_codes(kind_T[concept], kinds),
            "sense": np.tile(np.array([1, -1], np.int8), n_directions * n_concepts),
            "ap": self.found.ap_2KT.permute(1, 2, 0).float().numpy().ravel(),
            "positives": self.positive_T.astype(np.int32)[concept],
        }
        return pd.DataFrame(columns)

    def summary(self) -> dict:
        """What was run and what came out, for ``summary.json``."""
        [by_luck] = concepts.sweep(self.luck_RT, [self.threshold])
        return {
            "encoder": self.encoder.identity,
            "concepts": self.concept_set.images.identity,
            "directions": self.directions,
            "point": self.point,
            "n_directions": self.found.ap_2KT.shape[1],
            "n_images": self.n_images,
            "n_concepts": len(self.found.names),
            "negatives": self.negatives,
            "unknown": concepts.UNKNOWN[0],
            "minimum": self.minimum,
            "threshold": self.threshold,
            "encoded": len(self.found.encoded(self.threshold)),
            "encoded_by_luck": by_luck,
            "permutations": len(self.luck_RT),
            "omitted": self.judged.omitted,
            "failures": self.failures,
            "commit": stamps.commit(),
            "date": self.date,
        }

    def folder(self) -> Path:
        """Where :meth:`write` goes unless told otherwise: a name made of the encoder's and the set's."""
        names = f"dissect-{self.encoder.name}-{self.concept_set.images.name}"
        return Path(re.sub(r"[^\w.-]+", "-", names))

    def write(self, folder: str | Path | None = None) -> Path:
        """Write ``concepts.parquet``, ``summary.json`` and ``index.html``; return the path of the page.

        Each file is replaced as a whole; other files in the folder stay.

        Raises:
            ValueError: no folder can be written there.
        """
        folder = writable(self.folder() if folder is None else folder)
        with atomic.replacing(folder / "concepts.parquet") as part:
            self.table().to_parquet(part, index=False)
        atomic.write_text(folder / "summary.json", json.dumps(self.summary(), indent=1) + "\n")
        page = folder / "index.html"
        atomic.write_text(page, dissect_page.page(self))
        return page

    def kinds(self) -> pd.DataFrame:
        """How many concepts of each category are ``encoded``, ``of`` how many."""
        encoded = self.found.table()["ap"] >= self.threshold
        return encoded.groupby(self.found.categories).agg(encoded="sum", of="size")

    def __rich__(self) -> Group:
        """One screen: what was run, how many concepts are encoded, of which category, and the best ones."""
        facts, counts = self.summary(), self.kinds().sort_values("of", ascending=False, kind="stable")
        head = (
            f"[bold]{facts['encoded']} of {facts['n_concepts']} concepts encoded[/bold]: "
            f"some direction has an average precision of {self.threshold:g} or more.\n"
            f"By luck, over {facts['permutations']} shuffles: {facts['encoded_by_luck']:.1f}.\n"
            f"{facts['n_directions']:,} directions ({self.directions}, {self.point}) of "
            f"{escape(self.encoder.name)}; {self.n_images:,} images of "
            f"{escape(self.concept_set.images.name)}; {self.negatives} negatives.\n"
            f"Left out: {len(self.judged.omitted)} concepts with fewer than {self.minimum} images with or "
            f"without, {len(self.failures)} pictures."
        )
        kinds = Table("category", "encoded", "of", box=None)
        for kind, encoded, of in counts.head(SHOWN).itertuples():
            kinds.add_row(escape(kind), str(encoded), str(of))
        if len(counts) > SHOWN:
            kinds.add_row(f"… and {len(counts) - SHOWN} more")
        best = Table("best detected", "category", "direction", "AP", box=None)
        for row in self.found.table().nlargest(SHOWN, "ap").itertuples():
            which = f"{row.direction} {dissect_rows.ARROWS[row.sense]}"
            best.add_row(escape(row.concept), escape(row.category), which, dissect_rows.shown(row.ap))
        return Group(head, "", kinds, "", best)


def writable(folder: str | Path) -> Path:
    """Return ``folder`` if it is one that can be written, or can be made.

    Raises:
        ValueError: a file is there, or nothing may be written.
    """
    folder = Path(folder).expanduser()
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        what = "a folder that may not be written" if there.is_dir() else "a file"
        raise ValueError(f"expected a folder to write to at {folder}, found {what}: {there}")
    return folder
