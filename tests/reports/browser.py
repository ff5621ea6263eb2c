"""A headless Chromium driven over its debugging pipe: what it complains about, asks for, and how wide a page gets.

JSON messages, each ended by a zero byte, on file descriptors 3 and 4 of the browser (--remote-debugging-pipe): no
package and no port is needed.
"""

import base64
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_SWITCHES = (
    "--headless",
    "--no-sandbox",  # tests may run as root
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
)
_PATIENCE = 60  # seconds for one answer, on a busy machine
_COMPLAINTS = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
# Text that is cut or lies outside of its place: of the page itself, but for boxes that scroll or are put away.
_OVERFLOWS = """(boxes => {
  const wide = document.documentElement.clientWidth, found = [];
  if (document.documentElement.scrollWidth > wide) found.push(`page: ${document.documentElement.scrollWidth}`);
  for (const element of document.querySelectorAll("main *, footer")) {
    const box = element.getBoundingClientRect();
    if (!box.width || element.closest(boxes)) continue;
    if (box.left < -0.5 || box.right > wide + 0.5)
      found.push(`${element.tagName} ${element.textContent.trim().slice(0, 40)}: ${box.left} to ${box.right}`);
  }
  for (const table of document.querySelectorAll("section > .scroll"))
    if (wide > 1000 && table.scrollWidth > table.clientWidth) found.push(`table: ${table.textContent.slice(0, 40)}`);
  return found;
})(BOXES)"""
# Words in one figure that lie over other words, over bars, or over marks, or outside of the figure.
_OVERLAPS = """(() => {
  const found = [];
  for (const svg of document.querySelectorAll("svg")) {
    const words = [...svg.querySelectorAll("text")].map(text => [text.textContent, text.getBoundingClientRect()]);
    words.forEach(([a, p], index) => {
      for (const [b, q] of p.width ? words.slice(index + 1) : [])
        if (Math.min(p.right, q.right) - Math.max(p.left, q.left) > 1 &&
            Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top) > 4) found.push(`${a} / ${b}`);
    });
    const place = svg.getBoundingClientRect();
    for (const [a, p] of words)
      if (p.width && (p.left < place.left - 1 || p.right > place.right + 1 ||
                      p.top < place.top - 2 || p.bottom > place.bottom + 2)) found.push(`${a} is outside`);
    const bars = ["kept", "pad", "seconds", "whole", "stages"].map(name => `g[id*="-${name}-"]`);
    for (const shape of svg.querySelectorAll([...bars, "use"].join(","))) {
      const q = shape.getBoundingClientRect();
      for (const [a, p] of q.width ? words : [])
        if (Math.min(p.right, q.right) - Math.max(p.left, q.left) > 1 &&
            Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top) > 4) found.push(`${a} / ${shape.id || "a mark"}`);
    }
  }
  return found;
})()"""


@dataclass(kw_only=True, slots=True)
class Seen:
    """A page as the browser saw it."""

    complaints: list[str] = field(default_factory=list)  # errors and everything written to the console
    requests: list[str] = field(default_factory=list)  # but for the page itself
    overflows: list[str] = field(default_factory=list)
    overlaps: list[str] = field(default_factory=list)
    paper: str = ""  # the colour of its ground


def find_browser() -> str | None:
    """Return a Chromium's path, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One tab of a running browser."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self.to_browser, self.from_browser = to_browser, from_browser
        self.received = b""
        self.events: list[dict[str, Any]] = []
        self.number = 0
        self.session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def look(
        self,
        page: Path | str,
        *,
        width: int,
        dark: bool,
        shot: Path | None = None,
        boxes: str = ".scroll",
        settling: float = 0.0,
    ) -> Seen:
        """Open a file or an address in a window of this width and say what is wrong with it.

        What lies in `boxes` (a CSS selector) may be wider than the page. `settling` are seconds to wait for scripts.
        """
        address = self.open(page, width=width, dark=dark)
        time.sleep(settling)
        seen = Seen(
            overflows=self.value(_OVERFLOWS.replace("BOXES", json.dumps(boxes))),
            overlaps=self.overlaps(),
            paper=self.value("getComputedStyle(document.body).backgroundColor"),
        )
        for event in self.events:
            if event["method"] in _COMPLAINTS:
                seen.complaints.append(json.dumps(event["params"]))
            elif event["method"] == "Network.requestWillBeSent":
                seen.requests.append(event["params"]["request"]["url"])
        seen.requests = [url for url in seen.requests if url != address and not url.startswith("data:")]
        if shot:
            picture = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
            shot.write_bytes(base64.b64decode(picture))
        return seen

    def open(self, page: Path | str, *, width: int, dark: bool) -> str:
        """Open a page, a figure that is a file, or an address, and return its address."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        address = page if isinstance(page, str) else page.resolve().as_uri()
        assert "errorText" not in self.call("Page.navigate", url=address), page
        self.wait_for("Page.loadEventFired")
        return address

    def overlaps(self) -> list[str]:
        """Return the words of the open figures that lie on something or outside."""
        return self.value(_OVERLAPS)

    def value(self, expression: str) -> Any:
        """Return what a JavaScript expression is on the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"]["value"]

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; events that come in between are kept."""
        self.number += 1
        message: dict[str, Any] = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        while (answer := self.receive()).get("id") != self.number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def wait_for(self, event: str) -> None:
        while not any(kept["method"] == event for kept in self.events):
            self.events.append(self.receive())

    def receive(self) -> dict[str, Any]:
        """Return the next message."""
        until = time.monotonic() + _PATIENCE
        while b"\0" not in self.received:
            ready, _, _ = select.select([self.from_browser], [], [], max(0, until - time.monotonic()))
            chunk = os.read(self.from_browser, 1 << 20) if ready else b""
            assert chunk, "the browser says nothing"
            self.received += chunk
        message, self.received = self.received.split(b"\0", 1)
        return json.loads(message)


@contextmanager
def open_browser(path: str, profile: Path) -> Iterator[Browser]:
    """Start a browser with a profile folder of its own, and end it."""
    (its_in, to_browser), (from_browser, its_out) = os.pipe(), os.pipe()
    ends: Mapping[int, int] = {its_in: 3, its_out: 4}
    arguments = [path, *_SWITCHES, f"--user-data-dir={profile}", "about:blank"]
    # 3 and 4 may be taken by the pipes themselves: first out of the way, then into place
    moves = [(os.POSIX_SPAWN_DUP2, end, place + 100) for end, place in ends.items()]
    moves += [(os.POSIX_SPAWN_DUP2, place + 100, place) for place in ends.values()]
    with open(os.devnull, "w") as nothing:
        moves += [(os.POSIX_SPAWN_DUP2, nothing.fileno(), number) for number in (1, 2)]
        process = os.posix_spawn(path, arguments, os.environ, file_actions=moves, setsid=True)
    os.close(its_in)
    os.close(its_out)
    try:
        yield Browser(to_browser, from_browser)
    finally:
        os.close(to_browser)
        os.close(from_browser)
        os.killpg(process, signal.SIGKILL)
        os.waitpid(process, 0)
