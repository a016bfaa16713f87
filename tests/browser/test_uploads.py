"""Tests of the page's requests (`api.js`): progress, waits that the server asks for, aborts."""

import base64
import json
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, Route

from tests.browser.films import bright_square
from tests.browser.reader import Reader
from tests.support.tiny_model import picture

pytestmark = pytest.mark.browser

ASK = """
async ([call, base64, options = {}, abortAfter = null]) => {
  const api = await import("/page/api.js");
  const abort = new AbortController();
  const shares = [];
  const onProgress = (share) => shares.push(share);
  const blob = new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))]);
  if (abortAfter !== null) setTimeout(() => abort.abort(), abortAfter);
  try {
    const answer = await api[call](blob, { ...options, signal: abort.signal, onProgress });
    if (!(answer instanceof Blob)) return { answer, shares };
    const { width, height } = await createImageBitmap(answer);
    return { size: [width, height], type: answer.type };
  } catch ({ name, title, detail, status, retryAfter }) {
    return { name, title, detail, status, retryAfter };
  }
}
"""


def asks(page: Page, call: str, film: bytes, *options: Any) -> dict[str, Any]:
    return page.evaluate(ASK, [call, base64.b64encode(film).decode(), *options])


def test_an_upload_says_how_much_of_it_was_sent(reader: Reader) -> None:
    shares = asks(reader.page, "explain", bright_square(1000, 1000))["shares"]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_one_model_or_all_of_them_can_be_asked(reader: Reader) -> None:
    one = asks(reader.page, "explain", bright_square(), {"model": "tiny", "force": True})
    every = asks(reader.page, "explain", bright_square(), {"model": "all"})
    assert one["answer"]["model"]["name"] == "tiny"
    assert every["answer"]["model"]["name"] == "tiny"  # as there is no other
    assert [url.rpartition("/")[2] for url in reader.requests if "explain?" in url] == [
        "explain?model=tiny&force=true",
        "explain?model=all",
    ]


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("Fri, 01 Jan 2100", None), ("0", None)])
def test_a_busy_servers_wish_comes_with_the_problem(
    reader: Reader, header: str, seconds: int | None
) -> None:
    body = json.dumps({"title": "Overloaded", "detail": "Ask again."})
    busy = {"status": 429, "body": body, "headers": {"Retry-After": header}}
    reader.page.route("**/v1/explain", lambda route: route.fulfill(**busy))
    problem = asks(reader.page, "explain", b"film")
    assert problem["title"] == "Overloaded"
    assert (problem["status"], problem["retryAfter"]) == (429, seconds)


def test_an_upload_can_be_given_up(reader: Reader) -> None:
    held: list[Route] = []
    reader.page.route("**/v1/explain", lambda route: held.append(route))
    assert asks(reader.page, "explain", b"film", {}, 100)["name"] == "AbortError"
    assert held


@pytest.mark.parametrize("call", ["explain", "thumbnail"])
def test_a_server_that_is_gone_is_a_problem_without_a_status(
    browser: Any, call: str, address: str
) -> None:
    page = browser.new_page()
    page.goto(address)
    page.evaluate("() => import('/page/api.js')")
    page.route("**/v1/*", lambda route: route.abort())
    problem = asks(page, call, b"film")
    assert (problem["title"], problem["status"]) == ("The server does not answer", 0)
    page.close()


@pytest.mark.parametrize("rows", [100, 400])
def test_a_thumbnail_is_small_and_never_larger_than_the_film(reader: Reader, rows: int) -> None:
    film = np.random.default_rng(0).integers(40, 90, (rows, rows // 2), dtype=np.uint8)
    small = asks(reader.page, "thumbnail", picture(film))
    assert small["size"] == ([50, 100] if rows == 100 else [64, 128])
    assert small["type"] == "image/png"
