"""Published files: mirror, hash, network failures, and nothing half-written."""

import hashlib
import socket
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from featurelens import published
from featurelens.checks import UnknownNameError
from featurelens.scales import Unreachable

CONTENT = b"model,val\nresnet50,76.13\n"
PATH = "owner/repository/0000/table.csv"


def one_file(monkeypatch, tmp_path, url="http://127.0.0.1:9/table.csv"):
    """Replace the registry by one entry and the cache by an empty folder."""
    entry = published.Entry("own/table", PATH, url, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), "MIT")
    monkeypatch.setattr(published, "registry", lambda: {entry.key: entry})
    monkeypatch.setenv("FEATURELENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FEATURELENS_MIRROR", raising=False)
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)


def put(monkeypatch, tmp_path, content):
    """Place ``content`` in a mirror folder."""
    file = tmp_path / "mirror" / PATH
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    monkeypatch.setenv("FEATURELENS_MIRROR", str(tmp_path / "mirror"))
    return file


@pytest.fixture
def server():
    """Serve ``server.body`` on a local port, announcing ``server.announced`` bytes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.requests += 1
            self.send_response(server.status)
            self.send_header("Content-Length", str(server.announced))
            self.end_headers()
            self.wfile.write(server.body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.status, server.body, server.announced, server.requests = 200, CONTENT, len(CONTENT), 0
    server.url = f"http://127.0.0.1:{server.server_port}/table.csv"
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def left_behind(tmp_path):
    return [each for each in (tmp_path / "cache").rglob("*") if each.is_file()]


@pytest.mark.parametrize("name", ["own/table", PATH])
def test_mirror_file_is_used_where_it_lies(monkeypatch, tmp_path, name):
    one_file(monkeypatch, tmp_path)
    file = put(monkeypatch, tmp_path, CONTENT)
    assert published.fetch(name) == file


def test_mirror_file_with_another_hash_is_refused(monkeypatch, tmp_path):
    one_file(monkeypatch, tmp_path)
    file = put(monkeypatch, tmp_path, CONTENT + b" ")
    with pytest.raises(ValueError, match=r"expected sha256 [0-9a-f]{12}…, found [0-9a-f]{12}…") as caught:
        published.fetch("own/table")
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


def test_unknown_key_names_the_nearest():
    with pytest.raises(UnknownNameError, match="'testbed/top2': did you mean testbed/top1"):
        published.fetch("testbed/top2")


def test_neither_mirror_nor_network_is_unreachable(monkeypatch, tmp_path):
    with socket.socket() as closed:  # a port that was free a moment ago refuses connections
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    one_file(monkeypatch, tmp_path, f"http://127.0.0.1:{port}/table.csv")
    with pytest.raises(Unreachable, match=f"not in FEATURELENS_MIRROR.*:{port}/table.csv") as caught:
        published.fetch("own/table")
    assert "\n" not in str(caught.value)
    assert left_behind(tmp_path) == []


def test_mirror_without_the_file_falls_through_to_the_address(monkeypatch, tmp_path, server):
    one_file(monkeypatch, tmp_path, server.url)
    (tmp_path / "mirror").mkdir()
    monkeypatch.setenv("FEATURELENS_MIRROR", str(tmp_path / "mirror"))
    assert published.fetch("own/table").read_bytes() == CONTENT


def test_download_happens_once_and_is_quiet(monkeypatch, tmp_path, server, capfd):
    one_file(monkeypatch, tmp_path, server.url)
    first, second = published.fetch("own/table"), published.fetch("own/table")
    assert first == second == tmp_path / "cache" / "published" / PATH
    assert first.read_bytes() == CONTENT and server.requests == 1
    assert capfd.readouterr() == ("", "")


def test_damaged_cache_is_replaced(monkeypatch, tmp_path, server):
    one_file(monkeypatch, tmp_path, server.url)
    published.fetch("own/table").write_bytes(CONTENT[:5])
    assert published.fetch("own/table").read_bytes() == CONTENT


@pytest.mark.parametrize(("announced", "error"), [(len(CONTENT), Unreachable), (10, ValueError)])
def test_truncated_download_leaves_nothing(monkeypatch, tmp_path, server, announced, error):
    """Cut by the connection (fewer bytes than announced), or short from the start."""
    one_file(monkeypatch, tmp_path, server.url)
    server.body, server.announced = CONTENT[:10], announced
    with pytest.raises(error) as caught:
        published.fetch("own/table")
    assert "\n" not in str(caught.value)
    assert left_behind(tmp_path) == []


def test_missing_at_its_address_is_unreachable(monkeypatch, tmp_path, server):
    one_file(monkeypatch, tmp_path, server.url)
    server.status = 404
    with pytest.raises(Unreachable, match="HTTPError"):
        published.fetch("own/table")


def test_registry_pins_every_file_by_commit_and_hash():
    entries = published.registry().values()
    assert len({each.path for each in entries}) == len(entries) > 20
    for each in entries:
        owner, repository, commit, *_ = each.path.split("/")
        assert len(commit) == 40 and len(each.sha256) == 64 and each.bytes > 0 and each.licence
        assert each.url == f"https://raw.githubusercontent.com/{each.path}"
        assert owner and repository
