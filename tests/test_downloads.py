import hashlib
import http.server
import re
import shutil
import threading
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

from featurelens import downloads, scales

DATA = np.random.default_rng(0).bytes(500_000)


@pytest.fixture
def server():
    """A server with Range support that can break off; ``asked`` notes the Range of each request."""
    state = SimpleNamespace(data=DATA, tag='"one"', breaks=[], asked=[], ranges=True, status=None, sent=0)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers["Range"]
            state.asked.append(asked)
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and state.ranges else 0
            if self.headers["If-Range"] not in (None, state.tag):
                start = 0
            if state.status or start >= len(state.data):
                self.send_response(state.status or 416)
                self.send_header("Content-Range", f"bytes */{len(state.data)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            body = state.data[start:]
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", state.tag)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(state.data) - 1}/{len(state.data)}")
            self.end_headers()
            length = state.breaks.pop(0) if state.breaks else len(body)
            state.sent += min(length, len(body))  # before the client can have it all
            self.wfile.write(body[:length])
            self.close_connection = True

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as opened:
        threading.Thread(target=opened.serve_forever, daemon=True).start()
        state.url = f"http://127.0.0.1:{opened.server_port}/data.bin"
        yield state
        opened.shutdown()


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(downloads, "PIECE", 1000)


def test_a_whole_file(server, tmp_path):
    file = downloads.fetch(server.url, tmp_path / "deep" / "data.bin")
    assert file.read_bytes() == DATA and [path.name for path in file.parent.iterdir()] == ["data.bin"]
    assert downloads.fetch(server.url, file) == file and server.asked == [None]


def test_a_broken_connection_is_taken_up_where_it_broke(server, tmp_path):
    server.breaks = [200_000, 150_000]
    file = downloads.fetch(server.url, tmp_path / "data.bin")
    assert file.read_bytes() == DATA
    assert server.asked == [None, "bytes=200000-", "bytes=350000-"] and server.sent == len(DATA)
    assert [path.name for path in tmp_path.iterdir()] == ["data.bin"]


def test_another_call_goes_on_after_the_server_went_silent(server, tmp_path):
    server.breaks = [200_000, 0]
    with pytest.raises(scales.Unreachable, match=r"data.bin: .* gave \w+; 200,000 bytes are kept, the next"):
        downloads.fetch(server.url, tmp_path / "data.bin")
    assert not (tmp_path / "data.bin").exists()
    assert downloads.fetch(server.url, tmp_path / "data.bin").read_bytes() == DATA
    assert server.asked[-1] == "bytes=200000-" and server.sent == len(DATA)


def test_a_file_that_changed_in_between_is_fetched_whole(server, tmp_path):
    server.breaks = [200_000, 0]
    with pytest.raises(scales.Unreachable):
        downloads.fetch(server.url, tmp_path / "data.bin")
    server.data, server.tag = DATA[::-1], '"two"'
    assert downloads.fetch(server.url, tmp_path / "data.bin").read_bytes() == DATA[::-1]


def test_a_server_that_knows_no_ranges_sends_it_whole(server, tmp_path):
    server.ranges, server.breaks = False, [200_000]
    assert downloads.fetch(server.url, tmp_path / "data.bin").read_bytes() == DATA
    server.breaks = [200_000, 200_000]  # no further the second time: it would never end
    with pytest.raises(scales.Unreachable, match="200,000 bytes are kept"):
        downloads.fetch(server.url, tmp_path / "more.bin")


@pytest.mark.parametrize("extra", [b"", b"more than there is"])
def test_a_part_that_needs_no_more(server, tmp_path, extra):
    (tmp_path / "data.bin.part").write_bytes(DATA + extra)
    assert downloads.fetch(server.url, tmp_path / "data.bin").read_bytes() == DATA
    assert server.sent == (len(DATA) if extra else 0)


def test_no_such_file_and_no_server(server, tmp_path):
    server.status = 404
    with pytest.raises(scales.Unreachable, match="gave HTTP 404; 0 bytes are kept"):
        downloads.fetch(server.url, tmp_path / "data.bin")
    with pytest.raises(scales.Unreachable, match="gave ConnectionError"):
        downloads.fetch("http://127.0.0.1:1/data.bin", tmp_path / "data.bin")


def zipped(file, contents):
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return file


@pytest.mark.parametrize("inside", ["", "set/"])
def test_unpacked_whole_with_its_hash_noted(tmp_path, inside):
    contents = {f"{inside}index.csv": "a", f"{inside}images/x.png": "b"}
    archive = zipped(tmp_path / "set.zip", contents)
    downloads.unpack(archive, tmp_path / "set", "index.csv")
    assert (tmp_path / "set" / "images" / "x.png").read_text() == "b"
    recorded = (tmp_path / "set.zip.sha256").read_text()
    assert recorded == f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  set.zip\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "set.zip", "set.zip.sha256"]


def test_another_archive_than_the_first_is_refused(tmp_path):
    archive, target = zipped(tmp_path / "set.zip", {"index.csv": "a"}), tmp_path / "set"
    downloads.unpack(archive, target, "index.csv")
    shutil.rmtree(target)
    zipped(archive, {"index.csv": "b"})
    with pytest.raises(ValueError, match=r"set.zip: expected sha256 \w{12}…, found \w{12}…: delete set.zip"):
        downloads.unpack(archive, target, "index.csv")
    assert not target.exists()
    (tmp_path / "set.zip.sha256").unlink()
    downloads.unpack(archive, target, "index.csv")
    assert (target / "index.csv").read_text() == "b"


@pytest.mark.parametrize("damage", ["bit", "cut", "page"])
def test_a_damaged_archive_leaves_nothing(tmp_path, damage):
    archive = zipped(tmp_path / "set.zip", {"index.csv": "a", "images/x.png": DATA})
    data = bytearray(archive.read_bytes())
    data[300_000] ^= 1
    archive.write_bytes({"bit": data, "cut": data[:400_000], "page": b"<html>moved</html>"}[damage])
    with pytest.raises(ValueError, match=r"set.zip: expected a sound zip, found: .*; deleted, fetch it"):
        downloads.unpack(archive, tmp_path / "set", "index.csv")
    assert list(tmp_path.iterdir()) == []


def test_an_archive_of_something_else(tmp_path):
    archive = zipped(tmp_path / "set.zip", {"readme": "a"})
    with pytest.raises(ValueError, match=r"set.zip: expected index.csv in it or in its folder, found"):
        downloads.unpack(archive, tmp_path / "set", "index.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["set.zip"]
