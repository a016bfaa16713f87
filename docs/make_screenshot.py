"""Make README's picture of the viewer: our own server is asked about a film, in Chromium.

python docs/make_screenshot.py [--film FILM] [--out docs/viewer.png]
"""

import argparse
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from socket import socket

from playwright.sync_api import Page, ViewportSize, sync_playwright

CHROMIUM_ARGUMENTS = ("--no-sandbox", "--disable-gpu")
SIZE = ViewportSize(width=1280, height=800)
SAMPLES = ("drawn_normal", "drawn_opacity", "drawn_effusion")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the screenshot."""
    wanted = _parser().parse_args(arguments)
    wanted.out.parent.mkdir(parents=True, exist_ok=True)
    with own_server() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=CHROMIUM_ARGUMENTS
        )
        page = browser.new_page(viewport=SIZE)
        page.goto(url)
        show_film(page, wanted.film, wanted.sample)
        show_map(page, wanted.class_name, wanted.opacity)
        page.screenshot(path=wanted.out)
        browser.close()
    return 0


@contextmanager
def own_server() -> Iterator[str]:
    """Run `cxr serve` with its default model and yield its address.

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


def show_film(page: Page, film: Path | None, sample: str) -> None:
    """Open a film, or a drawn sample where there is none, and wait until it is explained.

    Raises:
        ValueError: The server had a problem with it.
    """
    if film is None:
        page.locator(f"button[data-sample={sample}]").click()
    else:
        page.set_input_files("#pick", film)
    _wait_for_answer(page)


def _wait_for_answer(page: Page) -> None:
    page.wait_for_selector("body:is([data-state=answer], [data-state=problem])")
    if page.locator("body").get_attribute("data-state") == "problem":
        raise ValueError(f"film must be readable: {page.locator('#problem').inner_text()}")
    page.wait_for_timeout(200)  # the canvases follow the layout one frame later


def show_map(page: Page, class_name: str | None, opacity: int) -> None:
    """Show the map of a class (None: the most likely), even of a refused or uncalled one.

    A class that no position argues for has no map.
    """
    _ask_anyway(page)
    if class_name:
        page.locator(f"input[name=finding][value='{class_name}']").check()
        _ask_anyway(page)
    page.get_by_label("Opacity").fill(str(opacity))


def _ask_anyway(page: Page) -> None:
    """Press the page's button where it holds a map back."""
    button = page.locator("#explanation-button", has_text="anyway")
    if button.is_visible():
        button.click()
        _wait_for_answer(page)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--film", type=Path, help="a film (default: the drawn sample)")
    parser.add_argument("--sample", choices=SAMPLES, default="drawn_opacity")
    parser.add_argument("--class", dest="class_name", help="class to show (default: most likely)")
    parser.add_argument("--opacity", type=int, default=50, help="in per cent")
    parser.add_argument("--out", type=Path, default=Path("docs/viewer.png"))
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
