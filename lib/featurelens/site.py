"""Settings of the site that depend on the clone: only a repository with an address gets links to it."""

import re
from pathlib import Path

import yaml

from featurelens import atomic, claims, paths, stamps

_ADDRESS = re.compile(
    r"(?:https://(?:[^@/]+@)?|(?:ssh://)?git@)(?P<host>[\w.-]+\.\w+)[:/](?P<path>.+?)(?:\.git)?/?"
)


def address(remote: str) -> str | None:
    """Web address of a git remote; None for a local path or anything else a reader could not open."""
    match = _ADDRESS.fullmatch(remote.strip())
    return f"https://{match['host']}/{match['path']}" if match else None


def config(settings: dict, url: str | None, branch: str) -> dict:
    """``settings`` of ``_config.yml`` with links and launch buttons for ``url``, or without any."""
    links = ("repository", "launch_buttons")
    html = dict(settings.get("html", {}))
    if url is None:
        html |= {f"use_{what}_button": False for what in ("repository", "issues", "edit_page")}
        return {key: value for key, value in settings.items() if key not in links} | {"html": html}
    repository = settings.get("repository", {}) | {"url": url, "branch": branch}
    launch = settings.get("launch_buttons", {}) if url.startswith("https://github.com/") else {}
    return settings | {"repository": repository, "launch_buttons": launch}


def with_claims(settings: dict) -> dict:
    """``settings`` with the number of stored claims, for pages that tell it as ``{{ claims }}``."""
    files = sorted((paths.data() / "claims").glob("*.json"))
    count = sum(len(claims.read(file.stem)) for file in files)
    parse = settings.get("parse", {})
    told = parse.get("myst_substitutions", {}) | {"claims": count}
    return settings | {"parse": parse | {"myst_substitutions": told}}


def write_config() -> Path:
    """Write the settings for this clone to ``_build/_config.yml``; return its path."""
    root = stamps.root()
    settings = yaml.safe_load((root / "_config.yml").read_text())
    url = address(stamps.git("remote", "get-url", "origin") or "")
    branch = stamps.git("rev-parse", "--abbrev-ref", "HEAD") or "main"
    path = root / "_build" / "_config.yml"
    atomic.write_text(path, yaml.safe_dump(with_claims(config(settings, url, branch))))
    return path
