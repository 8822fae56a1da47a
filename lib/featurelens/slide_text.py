"""Text of a page for slides: its Markdown in blocks, with the book's roles and directives in plain words."""

import re
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"(?P<mark>:{3,}|`{3,})(?:\{(?P<name>[\w:-]+)\} ?(?P<title>.*)|[\w-]*)$")
_ROLE = re.compile(r"\{(?P<role>[\w:]+)\}`(?P<text>[^`]+)`")
_LINK = re.compile(r"\[(?P<text>[^\]]*)\]\(#[^)]*\)")
_ALIAS = re.compile(r"(?P<text>.+?) <(?P<target>[^>]+)>", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One block of a page.

    ``kind`` is ``#``, ``##`` or ``###`` for headings, ``paragraph``, ``list``, ``table``, ``math``, ``code``,
    or the name of a directive (``prf:definition``, ``exercise-start``); headings and directives have a title.
    """

    kind: str
    text: str = ""
    title: str = ""


def blocks(source: str) -> list[Block]:
    """The blocks of a Markdown cell, in order; options of directives and labels of sections are left out."""
    found: list[Block] = []
    lines = [line for line in source.splitlines() if not re.fullmatch(r"\([\w-]+\)=", line)]
    while lines:
        if not lines[0].strip():
            lines.pop(0)
        elif fence := _FENCE.fullmatch(lines[0].strip()):
            found.append(_fenced(lines, fence))
        elif heading := re.match(r"(#{1,3}) (.+)", lines[0]):
            found.append(Block(heading[1], title=heading[2]))
            lines.pop(0)
        else:
            found.append(_plain(lines))
    return found


def _fenced(lines: list[str], fence: re.Match) -> Block:
    """Take a directive or a block of code off ``lines``, down to its closing fence."""
    opening, inside = lines.pop(0), []
    while lines and lines[0].strip() != fence["mark"]:
        inside.append(lines.pop(0))
    if not lines:
        raise ValueError(f"expected {fence['mark']} to close {opening!r}, found the end of the cell")
    lines.pop(0)
    if not fence["name"]:
        return Block("code", "\n".join([opening, *inside, fence["mark"]]))
    text = "\n".join(line for line in inside if not re.match(r":[\w-]+:", line))
    return Block(fence["name"], text.strip(), (fence["title"] or "").strip())


def _plain(lines: list[str]) -> Block:
    """Take a paragraph, a list, a table or a formula off ``lines``, down to an empty line or a fence."""
    taken: list[str] = []
    while lines and lines[0].strip() and not _FENCE.fullmatch(lines[0].strip()):
        taken.append(lines.pop(0))
    text = "\n".join(taken)
    if re.match(r"([-*]|\d+\.) ", text):
        return Block("list", text)
    kinds = {"|": "table", "$$": "math"}
    kind = next((kind for start, kind in kinds.items() if text.startswith(start)), "paragraph")
    # A definition list: the term and what is said of it become one sentence.
    return Block(kind, re.sub(r"\n: +", ": ", text))


class Words:
    """Plain words for the roles of the book: titles for references, authors and years for citations."""

    def __init__(self, chapters: dict[str, str], bibliography: Path):
        """``chapters``: the Markdown of each page, by name; ``bibliography``: a BibTeX file."""
        from pybtex.database import parse_file

        self._titles = {}
        for name, text in chapters.items():
            if heading := re.search(r"^# (.+)$", text, re.MULTILINE):
                self._titles[name] = heading[1]
            labels = re.findall(r"\{prf:\w+\} (.+)\n:label: (\S+)", text)
            self._titles |= {label: title for title, label in labels}
        self._entries = parse_file(str(bibliography)).entries

    def plain(self, text: str) -> str:
        """``text`` without roles and without links inside the book.

        Raises:
            ValueError: a role that slides have no words for.
        """
        text = _LINK.sub(lambda link: link["text"] or "another section", text)
        return _ROLE.sub(self._role, text)

    def _role(self, match: re.Match) -> str:
        role, text = match["role"], match["text"]
        alias = _ALIAS.fullmatch(text)
        if role == "cite:p":
            return f"({'; '.join(', '.join(self._cited(key)) for key in text.split(','))})"
        if role == "cite:t":
            return ", ".join("{} ({})".format(*self._cited(key)) for key in text.split(","))
        if alias:
            return alias["text"]
        if role in ("doc", "prf:ref"):
            return f"*{self._titles.get(text, text)}*"
        if role == "term":
            return text
        if role == "numref":
            return "the figure"
        raise ValueError(f"slides have no words for the role {role!r} in {match[0]}")

    def _cited(self, key: str) -> tuple[str, str]:
        entry = self._entries[key.strip()]
        people = [
            re.sub(r"[{}]", "", " ".join(p.prelast_names + p.last_names)) for p in entry.persons["author"]
        ]
        names = " and ".join(people) if len(people) < 3 else f"{people[0]} et al."
        return names, entry.fields["year"]
