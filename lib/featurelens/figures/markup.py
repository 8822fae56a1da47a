"""What interactive figures and tables share: HTML for a notebook, data for a script, options of a choice."""

import html
import json
from collections.abc import Iterable


class Markup:
    """HTML, shown by a notebook as it is."""

    def __init__(self, markup: str):
        """Keep the finished ``markup``."""
        self.markup = markup

    def _repr_html_(self) -> str:
        return self.markup


def packed(content: dict) -> str:
    """JSON that cannot end its own element."""
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c").replace("&", "\\u0026")


def options(names: Iterable[str]) -> str:
    """Options of a choice, numbered from 0."""
    return "".join(f'<option value="{n}">{html.escape(name)}</option>' for n, name in enumerate(names))
