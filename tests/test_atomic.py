"""A file is there whole or as it was, under the longest of names too, and errors say which file it was."""

import errno

import pytest

from featurelens import atomic


def test_a_file_takes_the_place_of_the_old_one_only_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "a.txt"
    atomic.write_text(path, "old")
    with pytest.raises(KeyError), atomic.replacing(path) as part:
        part.write_text("half")
        raise KeyError
    assert path.read_text() == "old" and list(path.parent.iterdir()) == [path]
    atomic.write_text(path, "new")
    assert path.read_text() == "new" and list(path.parent.iterdir()) == [path]


def test_the_longest_name(tmp_path):
    path = tmp_path / ("a" * 250 + ".json")
    atomic.write_text(path, "whole")
    assert path.read_text() == "whole"


def test_two_files_of_one_folder_at_once(tmp_path):
    with atomic.replacing(tmp_path / "a") as first, atomic.replacing(tmp_path / "b") as second:
        first.write_text("a")
        second.write_text("b")
    assert (tmp_path / "a").read_text() + (tmp_path / "b").read_text() == "ab"


def test_a_full_disk_is_named(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(OSError, match=r"No space left on device: .*a\.json"), atomic.replacing(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="Permission denied: 'other'"), atomic.replacing(path):
        raise PermissionError(errno.EACCES, "Permission denied", "other")
