"""A person in front of the page: opens films, chooses classes, looks at the canvases."""

import base64
import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, FilePayload, Locator, Page, expect

Pixels = NDArray[np.uint8]

TIMEOUT_MILLISECONDS = 30_000
"""For what is waited for, which comes in a fraction of this, even on a machine that is busy."""

expect.set_options(timeout=TIMEOUT_MILLISECONDS)  # else 5 s, whatever the page's own time-out is

READ = "body[data-state=answer]"
FAILED = "body[data-state=problem]"

DROP = """
([name, base64]) => {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name));
  const events = ["dragenter", "dragover", "drop"];
  for (const type of events) {
    document.body.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true }));
  }
}
"""

AFTER_DRAWING = """
async (canvas) => {
  const frame = () => new Promise((next) => requestAnimationFrame(next));
  await frame();
  await frame();
"""


class Reader:
    """A page, and what a person does with it.

    Attributes:
        page: Playwright's page, at the viewer.
        faults: Console errors and warnings, and exceptions.
        requests: Every address that was asked.
    """

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.faults: list[str] = []
        self.requests: list[str] = []
        self._listen()
        page.set_default_timeout(TIMEOUT_MILLISECONDS)
        page.goto(address)

    def opens(self, film: bytes, name: str = "film.png") -> None:
        """Pick a film and wait until it is on the desk."""
        with self.waits():
            self.picks(film, name)

    def picks(self, film: bytes, name: str = "film.png") -> None:
        """Pick a film in the file dialogue."""
        self.picks_all({name: film})

    def picks_all(self, films: dict[str, bytes]) -> None:
        """Pick several films, by their names, in the file dialogue."""
        files = [
            FilePayload(name=name, mimeType="application/octet-stream", buffer=film)
            for name, film in films.items()
        ]
        self.page.set_input_files("#pick", files=files)

    def drops(self, film: bytes, name: str = "film.png") -> None:
        """Drop a film on the page and wait until it is on the desk."""
        with self.waits():
            self.page.evaluate(DROP, [name, base64.b64encode(film).decode()])

    @contextmanager
    def waits(self) -> Iterator[None]:
        """Wait, after what is done, until another film is on the desk than before."""
        before = self.page.locator("body").get_attribute("data-film")
        yield
        self.page.wait_for_selector(f"{READ}[data-film]:not([data-film='{before}'])")

    def waits_until(self, holds: Callable[[], bool]) -> None:
        """Let the page go on until this holds; fail after the time-out."""
        end = time.monotonic() + TIMEOUT_MILLISECONDS / 1000
        while not holds():
            assert time.monotonic() < end, "it did not happen in time"
            self.page.wait_for_timeout(10)

    def chooses(self, class_name: str) -> None:
        """Click a finding."""
        self.page.locator("label.finding", has_text=class_name).click()

    def sets_opacity(self, per_cent: int) -> None:
        """Move the slider."""
        self.page.get_by_label("Opacity").fill(str(per_cent))

    def presses(self, button: str) -> None:
        """Click a button by the words on it."""
        self.page.get_by_role("button", name=button).click()

    def takes(self, words: str) -> None:
        """Choose one of the buttons in the toolbar that exclude each other."""
        self.page.locator(".choice label", has_text=words).click()

    def explanation(self) -> str:
        """Return what is said about the map."""
        return self.page.locator("#explanation").inner_text()

    def finding(self, class_name: str) -> Locator:
        """Return one finding of the list."""
        return self.page.locator("label.finding", has_text=class_name)

    def sees(self, panel: str = "mapped") -> Pixels:
        """Return a panel (`plain`, `mapped`, or a model's) as rows x columns x 3."""
        canvas = self.canvas(panel)
        url = canvas.evaluate(AFTER_DRAWING + "return canvas.toDataURL(); }")
        png = base64.b64decode(url.partition(",")[2])
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))

    def canvas(self, panel: str = "mapped") -> Locator:
        """Return a panel's canvas."""
        return self.page.locator(f"figure[data-panel='{panel}'] canvas")

    def colours(self) -> NDArray[np.uint8]:
        """Return the colour table that the page painted with."""
        answer = self.page.request.get(f"{self.address}/v1/colour-map")
        return np.array(json.loads(answer.body())["rgb"], np.uint8)

    def _listen(self) -> None:
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._hear)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(message.text)


@contextmanager
def reading(browser: Browser, address: str) -> Iterator[Reader]:
    """Give a new reader of the page at an address."""
    with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        yield Reader(context.new_page(), address)
