"""What a scan gives: numbers, a verdict, JSON with a schema, a page, text, and what a notebook shows."""

import json
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from featurelens import scan_notebook, scan_page, scan_references, stamps
from featurelens.scan_fields import FIELDS, HEAD_FIELDS, shown
from featurelens.scan_measures import Measured
from featurelens.scan_verdict import Verdict

FORMAT = "featurelens-scan-1"
SCHEMA = Path(__file__).parent / "schemas" / "scan.schema.json"


@dataclass(frozen=True, eq=False)
class ScanReport:
    """A scanned encoder, or scanned features.

    Attributes:
        name: of the encoder, or of the file.
        point: feature point; empty where it is not known.
        measured: the numbers.
        verdict: where they stand.
        identity: of the encoder; None for features from elsewhere.
        images: identity of the image set, or None.
        left_out: ``key`` and ``reason`` of each picture without features.
        date: of the scan, UTC.
    """

    name: str
    point: str
    measured: Measured
    verdict: Verdict
    identity: dict[str, str] | None
    images: dict[str, str] | None
    left_out: list[dict[str, str]]
    date: str

    @property
    def values(self) -> dict[str, float | int]:
        """Numbers by name, see :mod:`featurelens.scan_fields`."""
        return self.measured.values

    @property
    def losses(self) -> str:
        """How many pictures have no features, and why the first has none; empty where all have."""
        if not self.left_out:
            return ""
        first = self.left_out[0]
        return f"Left out: {len(self.left_out):,}, first {first['key']}: {first['reason']}."

    def facts(self) -> dict:
        """Everything as plain values, as ``schemas/scan.schema.json`` describes it."""
        verdict = self.verdict
        references = scan_references.table()
        return {
            "format": FORMAT,
            "name": self.name,
            "point": self.point,
            "encoder": self.identity,
            "images": self.images,
            "left_out": self.left_out,
            "measures": self.values,
            "outlier_coordinates": [each._asdict() for each in self.measured.coordinates],
            "pattern": self.measured.pattern,
            "verdict": {
                "supported": verdict.supported,
                "says": verdict.says,
                "sentences": verdict.sentences,
                "limits": verdict.limits,
                "standings": [each._asdict() for each in verdict.standings],
                "records": [
                    each._asdict() | {"outcomes": [outcome._asdict() for outcome in each.outcomes]}
                    for each in verdict.records
                ],
            },
            "references": references.astype(object).where(references.notna(), None).to_dict("records"),
            "commit": stamps.commit(),
            "date": self.date,
        }

    def to_json(self) -> str:
        """JSON text of :meth:`facts`."""
        return json.dumps(self.facts(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def to_html(self) -> str:
        """One self-contained page: no script, nothing fetched."""
        return scan_page.page(self)

    def _repr_html_(self) -> str:
        return scan_notebook.fragment(self)

    def __rich__(self) -> Group:
        """The numbers, the outlier coordinates, the rules, the verdict."""
        where = f" at {self.point}" if self.point else ""
        size = f"{self.values['images']:,} images, {self.values['width']:,} features"
        # Text, as a name is no markup.
        head = Text.assemble((self.name, "bold"), f"{where}: {size}. Pattern: {self.measured.pattern}.")
        if self.left_out:
            head.append(f"\n{self.losses}")
        numbers = Table("measure", box=None)
        numbers.add_column("value", justify="right")
        numbers.add_column("what it is")
        for name, what in (FIELDS | HEAD_FIELDS).items():
            if name in self.values:
                numbers.add_row(name, shown(self.values[name]), what)
        parts = [head, "", numbers, "", self._coordinates(), "", self._standings()]
        said = [f"- {escape(sentence)}" for sentence in (*self.verdict.sentences, *self.verdict.limits)]
        return Group(*parts, "", "[bold]Verdict[/bold]", *said)

    def _coordinates(self) -> Table | str:
        if not self.measured.coordinates:
            return "Outlier coordinates: none."
        table = Table("outlier coordinate", box=None)
        for column in ("× median", "leads", "of kurtosis", "same in every image"):
            table.add_column(column, justify="right")
        table.add_column("kind")
        for each in self.measured.coordinates:
            times = "" if each.times_median is None else f"{each.times_median:.1f}"
            shares = (f"{share:.1%}" for share in (each.leads, each.kurtosis_share, each.constant_share))
            table.add_row(str(each.index), times, *shares, each.kind)
        return table

    def _standings(self) -> Table:
        table = Table("rule", box=None)
        for column in ("this model", "cut", "right among real families"):
            table.add_column(column, justify="right")
        record_of = {each.rule: each for each in self.verdict.records if each.world == "real"}
        for each in self.verdict.standings:
            record = record_of[each.rule]
            counted = f"{record.right} of {len(record.outcomes)} ({record.low:.0%} to {record.high:.0%})"
            cut = "none fits" if each.cut is None else shown(each.cut)
            table.add_row(each.rule, shown(each.value), cut, counted)
        return table
