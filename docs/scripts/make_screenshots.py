"""Make the pictures of README and docs/viewer.md with our own server and Chromium.

python docs/scripts/make_screenshots.py [NAME ...] [--out docs/viewer] [--film FILM]

The films are the samples that come with the page: no other may get into this repository.
"""

import argparse
import io
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from socket import socket

from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, ViewportSize, expect, sync_playwright

FOLDER = Path(__file__).parents[1] / "viewer"
SAMPLES = Path(__file__).parents[2] / "service" / "viewer" / "samples"
FILM = SAMPLES / "pneumonia.dcm"
CHROMIUM_ARGUMENTS = ("--no-sandbox", "--disable-gpu")
DESK = ViewportSize(width=1280, height=800)
TABLET = ViewportSize(width=820, height=1180)
COLOURS = 256

AFTER_DRAWING = (
    "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pictures that are wanted."""
    wanted = _arguments(arguments)
    film = file_of(wanted.film or FILM)
    wanted.out.mkdir(parents=True, exist_ok=True)
    with own_server() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=CHROMIUM_ARGUMENTS
        )
        for name in wanted.names:
            png = picture(browser, address, name, film)
            (wanted.out / f"{name}.png").write_bytes(small(png))
        browser.close()
    return 0


@contextmanager
def own_server() -> Iterator[str]:
    """Run the server with the models that come with it and yield its address.

    Raises:
        ChildProcessError: It ended, having said why, or was not ready in time.
    """
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-m", "service", "--port", str(port)])
    try:
        _wait_for(f"http://127.0.0.1:{port}/health/ready", server)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait()


def _wait_for(url: str, server: subprocess.Popen[bytes], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < end:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise ChildProcessError(f"the server was not ready within {seconds:.0f} s, or ended")


def picture(browser: Browser, address: str, name: str, film: FilePayload) -> bytes:
    """Return a picture of `PICTURES` as PNG, of a page that was just opened."""
    size = TABLET if name == "tablet" else DESK
    with browser.new_context(viewport=size, has_touch=name == "tablet") as context:
        page = context.new_page()
        page.goto(address)
        return PICTURES[name](page, film)


def desk(page: Page, film: FilePayload) -> bytes:
    """Show one film with its map and the models' answers."""
    opens(page, film)
    shows_map(page)
    points_at(page, 0.3, 0.4)
    return seen(page)


def work_list(page: Page, film: FilePayload) -> bytes:
    """Show a list of files, one of which is no image: it is open, and its problem shown."""
    samples = [file_of(SAMPLES / name) for name in ("normal.jpg", "covid19.jpg", "ankle.png")]
    notes = FilePayload(name="notes.png", mimeType="image/png", buffer=b"These are no films.")
    page.set_input_files("#pick", [film, *samples, notes])
    page.locator("#work-list li[data-state=refused]").wait_for()
    page.locator("#work-list li[data-state=done]").nth(len(samples)).wait_for()
    page.locator("#work-list li[data-state=refused] .open").click()
    page.locator("#problem").wait_for()
    return seen(page)


def beside(page: Page, film: FilePayload) -> bytes:
    """Show the film beside the film with its map, in another window and zoomed in."""
    opens(page, film)
    shows_map(page)
    takes(page, "Film and map")
    page.keyboard.press("]")
    page.locator("#view-buttons [data-action=closer]").click()
    points_at(page, 0.4, 0.5)
    return seen(page)


def signed(page: Page, film: FilePayload) -> bytes:
    """Show evidence for and against a class, in the squares of the raw grid, outlined."""
    opens(page, film)
    page.keyboard.press(".")
    page.keyboard.press(".")
    shows_map(page)
    page.get_by_label("For and against").check()
    page.get_by_label("Raw grid").check()
    page.get_by_label("Outline", exact=True).check()
    page.get_by_label("Opacity").fill("60")
    page.locator(".map-controls").scroll_into_view_if_needed()
    page.locator(".map-controls > :last-child").scroll_into_view_if_needed()
    return seen(page)


def refused(page: Page, _: FilePayload) -> bytes:
    """Show a sample that the model refuses as unlike the films it knows, without a map."""
    page.locator("button[data-sample='ankle.png']").click()
    _wait_until_told(page)
    return seen(page)


def compare(page: Page, film: FilePayload) -> bytes:
    """Show the models side by side, and how far their maps agree."""
    opens(page, film)
    shows_map(page)
    takes(page, "Compare models")
    page.locator("#agreement tbody").wait_for()
    page.locator("#agreement").scroll_into_view_if_needed()
    return seen(page)


def mask(page: Page, film: FilePayload) -> bytes:
    """Show a masked film, and the probabilities with and without the mask."""
    opens(page, film)
    takes(page, "Mask")
    points_at(page, 0.14, 0.42)
    page.mouse.down()
    points_at(page, 0.38, 0.8)
    page.mouse.up()
    page.locator("#occlusion tbody").wait_for()
    page.locator("#occlusion > :last-child").scroll_into_view_if_needed()
    return seen(page)


def light(page: Page, film: FilePayload) -> bytes:
    """Show the page in its light theme."""
    opens(page, film)
    shows_map(page)
    page.keyboard.press("t")
    return seen(page)


def tablet(page: Page, film: FilePayload) -> bytes:
    """Show the page on a tablet held upright."""
    opens(page, film)
    shows_map(page)
    return seen(page)


def kept(page: Page, film: FilePayload) -> bytes:
    """Return the picture that the page itself saves."""
    opens(page, film)
    shows_map(page)
    takes(page, "Film and map")
    page.locator("figure[data-panel=plain]").wait_for()
    page.evaluate(AFTER_DRAWING)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save picture").click()
    return download.value.path().read_bytes()


PICTURES: dict[str, Callable[[Page, FilePayload], bytes]] = {
    step.__name__: step
    for step in (desk, work_list, beside, refused, signed, compare, mask, kept, light, tablet)
}


def opens(page: Page, film: FilePayload) -> None:
    """Open a film and wait until its answer is shown in full.

    Raises:
        ValueError: The server had a problem with it.
    """
    page.set_input_files("#pick", [film])
    _wait_until_told(page)


def _wait_until_told(page: Page) -> None:
    page.wait_for_selector("body:is([data-state=answer], [data-state=problem])")
    if page.locator("body").get_attribute("data-state") == "problem":
        raise ValueError(f"film must be readable: {page.locator('#problem').inner_text()}")
    page.locator(".distance-chart").first.wait_for()  # comes with the model's card


def shows_map(page: Page) -> None:
    """Show the map in view, also of a film that is refused, or of a class that is not called."""
    button = page.locator("#explanation-button")
    heading = page.locator("#explanation-heading")
    while button.is_visible() and button.inner_text() != "Hide the map":
        before = heading.inner_text()
        button.click()
        expect(heading).not_to_have_text(before)


def takes(page: Page, words: str) -> None:
    """Choose one of the toolbar's buttons that exclude each other."""
    page.locator(".choice label", has_text=words).click()


def points_at(page: Page, across: float, down: float) -> None:
    """Move the pointer to a place of the last panel, in shares of its size."""
    box = page.locator("#stage canvas").last.bounding_box()
    assert box
    page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])


def seen(page: Page) -> bytes:
    """Return what is on the page, when it is drawn."""
    page.evaluate(AFTER_DRAWING)
    return page.screenshot()


def file_of(path: Path) -> FilePayload:
    """Return a file as the file dialogue takes it."""
    return FilePayload(
        name=path.name, mimeType="application/octet-stream", buffer=path.read_bytes()
    )


def small(png: bytes) -> bytes:
    """Return a picture as a PNG of few colours, chosen so that no colour is seen to change."""
    file = io.BytesIO()
    image = Image.open(io.BytesIO(png)).convert("RGB")
    few = image.quantize(
        COLOURS, method=Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE
    )
    few.save(file, "PNG", optimize=True)
    return file.getvalue()


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PICTURES)}")
    parser.add_argument("--film", type=Path, help="a film of yours; needs --out")
    parser.add_argument("--out", type=Path, help="folder (default: docs/viewer)")
    wanted = parser.parse_args(arguments)
    if wanted.film and (wanted.out or FOLDER).resolve() == FOLDER.resolve():
        parser.error(
            f"--film needs an --out other than {FOLDER}: no film of a patient belongs there"
        )
    if unknown := set(wanted.names) - set(PICTURES):
        parser.error(f"no picture is called {', '.join(sorted(unknown))}")
    wanted.names, wanted.out = wanted.names or list(PICTURES), wanted.out or FOLDER
    return wanted


if __name__ == "__main__":
    raise SystemExit(main())
