"""Measure the viewer's speed in Chromium: frequent changes, first paint, and weight of the page.

    python benchmarks/viewer.py [--rounds 21] [--side 2000]

The server runs with its default model alone; the film is a synthetic one of side x side pixels, its
maps shown. "Script" is the time in event listeners and animation frames from an input until the
page has drawn it, by performance.now(); a class is switched to maps that were not painted before.
First paint is when the browser reports it (PerformanceObserver), without anything of the page in
its cache.
"""

import argparse
import io
import os
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, ViewportSize, sync_playwright

SERVICE = Path(__file__).parents[1] / "service"
SAMPLE = SERVICE / "viewer" / "samples" / "normal.jpg"
MODEL = SERVICE / "default_model" / "chest_cnn.onnx"
SIZE = ViewportSize(width=1280, height=800)
SIDE = 2000
TIMEOUT_MILLISECONDS = 60_000

TIMED = """
{
  let inside = false;
  const wrappers = new WeakMap();
  window.spent = 0;
  const timed = (work) => function (...given) {
    if (inside) return work.apply(this, given);
    inside = true;
    const start = performance.now();
    try {
      return work.apply(this, given);
    } finally {
      inside = false;
      window.spent += performance.now() - start;
    }
  };
  const wrapperOf = (listener) => {
    if (typeof listener !== "function") return listener;
    if (!wrappers.has(listener)) wrappers.set(listener, timed(listener));
    return wrappers.get(listener);
  };
  for (const name of ["addEventListener", "removeEventListener"]) {
    const listen = EventTarget.prototype[name];
    EventTarget.prototype[name] = function (type, listener, ...rest) {
      return listen.call(this, type, wrapperOf(listener), ...rest);
    };
  }
  const { requestAnimationFrame } = window;
  window.untimedFrame = requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (draw) => requestAnimationFrame.call(window, timed(draw));
}
"""
AFTER_DRAWING = """
async () => {
  for (const _ of [1, 2]) await new Promise((drawn) => untimedFrame(drawn));
  const { spent } = window;
  window.spent = 0;
  return spent;
}
"""
PAINTED = """
() => new Promise((found) => {
  const seen = (list) => found(list.getEntries().at(-1).startTime);
  new PerformanceObserver(seen).observe({ type: "largest-contentful-paint", buffered: true });
})
"""
WEIGHT = """
() => ["navigation", "resource"]
  .flatMap((type) => performance.getEntriesByType(type))
  .filter(({ name }) => !name.includes("/samples/"))
  .reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0)
"""


def drawn_film(side: int = SIDE) -> bytes:
    """Return a drawn film with a little noise, as a PNG file."""
    drawing = Image.open(SAMPLE).convert("L").resize((side, side), Image.Resampling.BICUBIC)
    noise = np.random.default_rng(0).integers(-4, 5, (side, side))
    pixels = np.clip(np.asarray(drawing, np.int16) + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


@contextmanager
def reading_page(browser: Browser, address: str, film: bytes) -> Iterator[Page]:
    """Yield a page that times its script, with a film and the maps of one class open."""
    with browser.new_context(viewport=SIZE) as context:
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MILLISECONDS)
        page.add_init_script(TIMED)
        page.goto(address)
        page.set_input_files("#pick", FilePayload(name="film", mimeType="image/png", buffer=film))
        page.wait_for_selector("body[data-state=answer][data-film]")
        show_maps(page)
        yield page


def show_maps(page: Page) -> None:
    """Ask for maps that the page withholds because the film is refused or the class not called."""
    button = page.locator("#explanation-button", has_text="anyway")
    if button.is_visible():
        button.click()
    button.wait_for(state="hidden")


def script_milliseconds(page: Page, act: Callable[[], None]) -> float:
    """Return the milliseconds of script from an input until the page has drawn it."""
    page.evaluate(AFTER_DRAWING)
    act()
    return float(page.evaluate(AFTER_DRAWING))


def class_switch(page: Page, rounds: int) -> float:
    """Return the median script time of a class whose map has not been painted before."""

    def once(number: int) -> float:
        page.get_by_label("Hide weak evidence").fill(str(number % 20))
        return script_milliseconds(page, lambda: page.keyboard.press("."))

    return statistics.median(once(number) for number in range(1, rounds + 1))


def opacity_change(page: Page, rounds: int) -> float:
    """Return the median script time of a step of the opacity slider."""
    move = page.get_by_label("Opacity").fill
    return statistics.median(
        script_milliseconds(page, partial(move, str(40 + number))) for number in range(rounds)
    )


def window_change(page: Page, rounds: int) -> float:
    """Return the median script time of a step of a drag that windows the film."""
    box = page.locator("#stage canvas").bounding_box() or {"x": 0, "y": 0}
    x, y = box["x"] + 100, box["y"] + 100
    page.mouse.move(x, y)
    page.mouse.down(button="right")
    times = [
        script_milliseconds(page, partial(page.mouse.move, x + 4 * number, y))
        for number in range(1, rounds + 1)
    ]
    page.mouse.up(button="right")
    return statistics.median(times)


CHANGES = {
    "class switch": class_switch,
    "opacity": opacity_change,
    "window": window_change,
}
"""Frequent changes of the page; each function returns milliseconds for a page and rounds."""


def fresh_page(browser: Browser, address: str) -> tuple[float, int]:
    """Return milliseconds until the page is painted, and its bytes as sent, without films."""
    with browser.new_context(viewport=SIZE) as context:
        page = context.new_page()
        page.goto(address, wait_until="networkidle")
        return float(page.evaluate(PAINTED)), int(page.evaluate(WEIGHT))


def main() -> None:
    """Print the medians."""
    from start_up import free_port  # not at the top: a test imports this module
    from throughput import serving

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--side", type=int, default=SIDE)
    options = parser.parse_args()
    os.environ |= {"CXR_MODELS": str(MODEL), "CXR_OWN_MODELS": "false"}
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "service", "--port", str(port)]
    with serving(command, port, "/health/ready"), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        fresh = [fresh_page(browser, address) for _ in range(5)]
        print(f"painted after {statistics.median(ms for ms, _ in fresh):.0f} ms (median of 5)")
        print(f"page weight {fresh[0][1] / 1000:.0f} kB as sent, without films")
        with reading_page(browser, address, drawn_film(options.side)) as page:
            for name, measure in CHANGES.items():
                print(f"{name}: {measure(page, options.rounds):.1f} ms of script")
        browser.close()


if __name__ == "__main__":
    main()
