"""The site of the documentation: complete, and in a real browser it fits, is quiet and asks nobody else."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

import tdbs
from docs.repository_links import with_repository_links
from tests.docs.pages import ROOT, text_of

WHITE = "rgb(255, 255, 255)"
# Tables and code scroll in boxes of their own; the menus are beside a narrow window until they are opened.
BOXES = ".md-typeset__scrollwrap, pre, .md-sidebar, .md-clipboard"
SEARCH = """(() => {
  const input = document.querySelector("[data-md-component=search-query]");
  input.focus();
  input.value = "TokenDrop";
  input.dispatchEvent(new Event("input", {bubbles: true}));
  input.dispatchEvent(new KeyboardEvent("keyup", {bubbles: true}));
  return true;
})()"""


def test_every_public_name_is_in_the_reference():
    assert set(re.findall(r"heading: tdbs\.(\w+)$", text_of("docs/api.md"), re.MULTILINE)) == set(tdbs.__all__)


def test_every_measurement_has_a_line():
    """Each record of benchmarks/results and each study of reports is linked from docs/measured.md, once."""
    linked = re.findall(r"\]\(\.\./((?:benchmarks/results|reports)/[^)]+)\)", text_of("docs/measured.md"))
    there = [*(ROOT / "benchmarks/results").glob("*_*.md"), *(ROOT / "reports").glob("*/README.md")]
    assert sorted(set(linked) - {"reports/README.md"}) == sorted(str(path.relative_to(ROOT)) for path in there)
    assert len(linked) == len(set(linked))


def test_links_that_lead_out_of_the_site_are_addresses_of_the_repository():
    text = "[a](../README.md) [b](../benchmarks/results/) [c](data.md#tables) [d](pictures/sst2.svg) [e](no.md) [f](#g)"
    site = {"docs/data.md", "docs/pictures/sst2.svg"}
    found = re.findall(r"\((.*?)\)", with_repository_links(text, "docs/page.md", site))
    files = "https://github.com/tdbs/tdbs"
    assert found[:2] == [f"{files}/blob/main/README.md", f"{files}/tree/main/benchmarks/results"]
    assert found[2:] == ["data.md#tables", "pictures/sst2.svg", "no.md", "#g"]
    below = with_repository_links("[a](../../README.md) [b](../data.md)", "docs/tasks/page.md", site)
    assert below == f"[a]({files}/blob/main/README.md) [b](../data.md)"


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that writes no log."""

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[str]]]:
    """Build the site, serve it on this machine, and yield its address and the paths of its pages."""
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    paths = sorted(str(path.relative_to(folder)).removesuffix("index.html") for path in folder.rglob("*.html"))
    yield f"http://127.0.0.1:{server.server_port}/", paths
    server.shutdown()
    server.server_close()


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize(("width", "dark"), [(390, True), (1280, False)])
def test_every_page_fits_is_quiet_and_asks_nobody_else(browser, site, width, dark):
    address, paths = site
    written = {path.relative_to(ROOT / "docs").with_suffix("").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert set(paths) == {"404.html", "", *(f"{path}/" for path in written - {"index"})}
    wrong = {}
    for path in paths:
        seen = browser.look(address + path, width=width, dark=dark, boxes=BOXES, settling=0.2)
        elsewhere = [url for url in seen.requests if not url.startswith(address)]
        wrong[path] = [*seen.complaints, *elsewhere, *seen.overflows]
        assert (seen.paper == WHITE) is not dark, path
    assert {path: found for path, found in wrong.items() if found} == {}


@pytest.mark.slow
@pytest.mark.browser
def test_search_finds_a_word(browser, site):
    address, _ = site
    browser.look(address, width=1280, dark=False)
    assert browser.value(SEARCH)
    until = time.monotonic() + 20
    while not (found := browser.value("document.querySelectorAll('.md-search-result__item').length")):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert found > 1
