"""The built site, served by this machine, in an installed Chromium. Where there is none, the tests skip."""

import fcntl
import functools
import http.server
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from opened_page import DESKTOP, ROOT, Opened, page_names
from playwright.sync_api import sync_playwright

HTML = ROOT / "_build" / "html"
# Nothing that Chromium does by itself on the network.
FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
NAMES = ("chromium", "chromium-browser", "google-chrome")
# The library too: its docstrings are pages.
SOURCES = ("book", "chapters", "data/claims", "data/results", "lib/featurelens", "_config.yml", "_toc.yml")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of an installed Chromium."""
    found = [path for name in NAMES if (path := shutil.which(name))]
    if not found:
        pytest.skip("no Chromium is installed: the site is not opened in a browser")
    return found[0]


@pytest.fixture(scope="session")
def site(chromium) -> Path:
    """The folder of the built site; built first where it is missing or older than its sources."""
    HTML.parent.mkdir(exist_ok=True)
    with (HTML.parent / ".site").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side, and one of them builds
        if not _new():
            _make_book()
    return HTML


def _make_book() -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--silent", "book"]
    made = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    # What is wrong with a page that was written nevertheless, `make book` says.
    assert _new(), f"make book: {made.stdout.decode()[-3000:]}"


def _new() -> bool:
    last = HTML / "searchindex.js"  # the last file that Sphinx writes
    files = [ROOT / name for name in SOURCES]
    files += [inner for file in files if file.is_dir() for inner in file.rglob("*") if inner.is_file()]
    files = [file for file in files if file.is_file() and file.parent.name != "__pycache__"]
    newest = max(file.stat().st_mtime for file in files)
    return last.is_file() and last.stat().st_mtime >= newest


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def address(site) -> str:
    """Where the site is served, on this machine only."""
    handler = functools.partial(_Silent, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


# A module's own: while Playwright runs, its event loop keeps other tests from theirs.
@pytest.fixture(scope="module")
def browser(chromium, site):
    """A Chromium with an empty profile."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=FLAGS, chromium_sandbox=False)
        yield running
        running.close()


@pytest.fixture(scope="module", params=page_names())
def opened(request, browser, address) -> Opened:
    """One page after the other, loaded once for a module's tests."""
    yield from _open(request.param, browser, address)


@pytest.fixture
def home(browser, address) -> Opened:
    """The first page."""
    yield from _open("index", browser, address)


def _open(name, browser, address):
    context = browser.new_context(viewport=DESKTOP)
    opened = Opened(name, context.new_page())
    page, complain = opened.page, opened.complaints.append
    page.on("console", lambda message: message.type == "error" and complain(f"console: {message.text}"))
    page.on("pageerror", lambda error: complain(f"script: {error}"))
    page.on("requestfailed", lambda request: complain(f"failed: {request.url} {request.failure}"))
    page.on("response", lambda answer: answer.status >= 400 and complain(f"{answer.status}: {answer.url}"))

    def gate(route):
        if route.request.url.startswith(address):
            route.continue_()
        else:
            complain(f"another host: {route.request.url}")
            route.abort()

    page.route(lambda url: not url.startswith(("data:", "blob:")), gate)
    page.goto(f"{address}/{name}.html")
    page.evaluate("window.MathJax && MathJax.startup.promise.then(() => null)")
    yield opened
    context.close()
