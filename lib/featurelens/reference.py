"""Files of the book that are written from stored data: they are brought in step, and checked, together."""

from featurelens import atomic, claims_page, landing, tables_page

# Each says where its file lies, and what is in it: nothing where a book has no data for it.
_WRITTEN = {"claims": claims_page, "tables": tables_page, "landing": landing}


def in_step(name: str) -> bool:
    """Whether a file is what ``write`` would write."""
    path, text = _WRITTEN[name].path(), _WRITTEN[name].text()
    return text is None or (path.is_file() and path.read_text("utf-8") == text)


def write(name: str) -> bool:
    """Write a file anew from its data; True if it changed."""
    if in_step(name):
        return False
    atomic.write_text(_WRITTEN[name].path(), _WRITTEN[name].text())
    return True


def sync() -> list[str]:
    """Write anew what is out of step; return the names of what changed."""
    return [name for name in _WRITTEN if write(name)]


def out_of_step() -> list[str]:
    """Names of the files that are not what ``sync`` would write."""
    return [name for name in _WRITTEN if not in_step(name)]
