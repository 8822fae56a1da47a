"""Large archives over HTTP: a broken connection costs what was on the way, and a folder appears whole.

pooch, which fetches the small files of ``published.py``, starts again from the first byte when a
connection breaks; for a gigabyte from one university server that is the difference between late and never.
"""

import os
import re
import shutil
import zipfile
import zlib
from pathlib import Path

import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from featurelens import atomic, storage
from featurelens.scales import Unreachable

TIMEOUT = (5, 60)  # seconds to connect, and between two pieces
PIECE = 2**20


def fetch(url: str, file: Path) -> Path:
    """Download ``url`` to ``file``, going on from ``<file>.part`` if an earlier call was stopped.

    Tries again for as long as each try brings it further. A file that is there already is returned as it is.

    Raises:
        Unreachable: no answer, or a connection that breaks without bringing anything; what came is kept.
    """
    part = file.with_name(f"{file.name}.part")
    file.parent.mkdir(parents=True, exist_ok=True)
    while not file.exists():
        before = _size(part)
        try:
            total = _go_on(url, part)
            if total is None or _size(part) == total:
                os.replace(part, file)
                _version(part).unlink(missing_ok=True)
                break
            why = f"{_size(part):,} bytes instead of {total:,}"
        except requests.RequestException as error:
            answer = getattr(error.response, "status_code", None)
            why = f"HTTP {answer}" if answer else type(error).__name__
        if _size(part) <= before:
            kept = f"{_size(part):,} bytes are kept, the next call goes on from there"
            raise Unreachable(f"{file.name}: {url} gave {why}; {kept}")
    return file


def _go_on(url: str, part: Path) -> int | None:
    """Append to ``part`` what it still lacks; return the size of the whole file, if the server says it."""
    start, version = _size(part), _version(part)
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if version.exists():  # a file that changed in between is then sent whole
            headers["If-Range"] = version.read_text()
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        sent = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+)", response.headers.get("Content-Range", ""))
        if response.status_code == 416 and sent and int(sent[2]) == start:
            return start  # it was complete: only the new name was missing
        if response.status_code == 416:
            part.unlink()  # longer than the file is now
            return _go_on(url, part)
        response.raise_for_status()
        follows = response.status_code == 206
        if follows and not (sent and sent[1] == str(start)):
            raise requests.exceptions.InvalidHeader("a piece that was not asked for", response=response)
        if not follows:
            _note(response, version)
        length = response.headers.get("Content-Length")
        total = int(sent[2]) if follows else int(length) if length else None
        with part.open("ab" if follows else "wb") as out, _bar() as bar:
            task = bar.add_task("", total=total, completed=start if follows else 0)
            for piece in response.iter_content(PIECE):
                out.write(piece)
                bar.advance(task, len(piece))
    return total


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _version(part: Path) -> Path:
    """Where the version of the file that ``part`` is the beginning of is noted."""
    return part.with_name(f"{part.name}.version")


def _note(response: requests.Response, version: Path) -> None:
    """Note which version of the file this is: its strong entity tag, or else its date."""
    tag = response.headers.get("ETag", "W/")
    found = response.headers.get("Last-Modified") if tag.startswith("W/") else tag
    version.unlink(missing_ok=True)
    if found:
        version.write_text(found)


def _bar() -> Progress:
    console = Console(stderr=True)
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


def unpack(archive: Path, target: Path, holds: str) -> None:
    """Unpack a zip to the folder ``target``, which appears only when everything is in it and sound.

    The sha256 of the first archive that unpacked is written to ``<archive>.sha256``; a later archive of that
    name has to have it. The files may lie in the zip's root or in one folder; ``holds`` is one that must.

    Raises:
        ValueError: another sha256, a damaged archive (it is deleted), or one without the file ``holds``.
    """
    record, sha256 = archive.with_name(f"{archive.name}.sha256"), storage.sha256(archive)
    if record.exists():
        recorded = record.read_text().split()[0]
        storage.same(archive.name, sha256, recorded, f": delete {record.name} to accept it")
    unfinished = target.with_name(f".{target.name}.unpacking")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(unfinished)  # compares each member with its CRC-32 on the way
        inside = [unfinished, *(path for path in unfinished.iterdir() if path.is_dir())]
        found = [path for path in inside if (path / holds).is_file()]
        if not found:
            raise ValueError(f"{archive.name}: expected {holds} in it or in its folder, found neither")
        atomic.write_text(record, f"{sha256}  {archive.name}\n")
        os.replace(found[0], target)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        archive.unlink()
        raise ValueError(
            f"{archive.name}: expected a sound zip, found: {error}; deleted, fetch it again"
        ) from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
