"""Files of the book that are written from stored data: they are brought in step, and checked, together."""

from featurelens import claims_page, landing, tables_page

_WRITTEN = {"claims": claims_page, "tables": tables_page, "landing": landing}


def sync() -> list[str]:
    """Write anew what is out of step; return the names of what changed."""
    return [name for name, module in _WRITTEN.items() if module.sync()]


def out_of_step() -> list[str]:
    """Names of the files that are not what ``sync`` would write."""
    return [name for name, module in _WRITTEN.items() if not module.in_step()]
