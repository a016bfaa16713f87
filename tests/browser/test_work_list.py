"""Tests of the order in which films are read (`work_list.js`): each is read or refused."""

import base64
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.films import bright_square
from tests.browser.reader import Reader

pytestmark = pytest.mark.browser

LIST = """
async ({ films, lanes }) => {
  const { ApiProblem } = await import("/page/api.js");
  const { WorkList } = await import("/films/work_list.js");
  window.begun = [];
  window.opened = [];
  window.mostAtOnce = 0;
  window.pending = new Map();
  const read = (entry, { signal, onProgress }) => new Promise((resolve, reject) => {
    const end = (settle, value) => { pending.delete(entry.name); settle(value); };
    begun.push(entry.name);
    pending.set(entry.name, {
      sent: onProgress,
      done: () => end(resolve, { answer: entry.name }),
      fails: (problem) => end(reject, new ApiProblem(problem)),
      breaks: () => end(reject, new Error("a fault of ours")),
    });
    mostAtOnce = Math.max(mostAtOnce, pending.size);
    signal.addEventListener("abort", () => end(reject, signal.reason));
  });
  window.list = new WorkList({ read, lanes });
  list.addEventListener("open", ({ detail }) => opened.push(detail?.name ?? null));
  list.add(films.map((name) => ({ name, load: async () => new Blob() })));
}
"""
ACT = """
async ([name, deed, value]) => {
  if (deed in list) list[deed](list.entries.find((entry) => entry.name === name)?.id);
  else pending.get(name)[deed](value);
  await new Promise((ready) => setTimeout(ready));
}
"""
BUSY_SERVER = """
async (count) => {
  const { ApiProblem } = await import("/page/api.js");
  const { WorkList } = await import("/films/work_list.js");
  let asked = 0;
  const read = async (entry) => {
    asked += 1;
    const busy = { title: "Overloaded", status: asked % 3 ? 503 : 429, retryAfter: 0.0001 };
    if (asked % 2) throw new ApiProblem(busy);
    return { answer: entry.name };
  };
  const list = new WorkList({ read });
  list.add(Array.from({ length: count }, (_, index) => ({ name: `${index}`, load: () => {} })));
  await new Promise((finished) => list.addEventListener("change", () => {
    if (list.counts.done + list.counts.refused === count) finished();
  }));
  return list.entries.map(({ answer, problem }) => [answer, problem]);
}
"""
REAL = """
async (base64) => {
  const film = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const { explain, thumbnail } = await import("/page/api.js");
  const { WorkList } = await import("/films/work_list.js");
  const read = async (entry, options) => {
    const blob = await entry.load();
    return {
      answer: await explain(blob, options),
      thumbnail: await thumbnail(blob, options),
    };
  };
  const list = new WorkList({ read });
  const load = async () => new Blob([film]);
  list.add([{ name: "film", load }, { name: "letter", load: async () => new Blob(["a letter"]) }]);
  await new Promise((finished) => list.addEventListener("change", () => {
    if (list.counts.done + list.counts.refused === 2) finished();
  }));
  const [good, bad] = list.entries;
  return [good.answer.predicted_class, good.thumbnail.type, bad.problem.status];
}
"""


class Films:
    """A work list in the page whose films are read when the test says so."""

    def __init__(self, page: Page, films: str, lanes: int = 1) -> None:
        self.page = page
        page.evaluate(LIST, {"films": list(films), "lanes": lanes})

    def act(self, deed: str, film: str | None = None, value: Any = None) -> None:
        """Call the list's method, or end the reading of a film."""
        self.page.evaluate(ACT, [film, deed, value])

    def finish(self) -> None:
        """Let every film be read, in whatever order they come."""
        while pending := self.page.evaluate("[...pending.keys()]"):
            self.act("done", pending[0])

    @property
    def begun(self) -> str:
        return "".join(self.page.evaluate("begun"))

    @property
    def opened(self) -> list[str | None]:
        return self.page.evaluate("opened")

    @property
    def states(self) -> str:
        """The first letter of each entry's state: queued, reading, done, refused is "qrdr"."""
        return "".join(self.page.evaluate("list.entries.map(({ state }) => state[0])"))

    def entry(self, index: int, field: str) -> Any:
        return self.page.evaluate(f"list.entries[{index}].{field}")


def test_films_are_read_in_order_two_at_a_time(reader: Reader) -> None:
    films = Films(reader.page, "abcd", lanes=2)
    assert films.states == "rrqq"
    films.act("done", "b")
    assert films.states == "rdrq"
    films.finish()
    assert (films.begun, films.states) == ("abcd", "dddd")
    assert reader.page.evaluate("mostAtOnce") == 2


def test_the_open_film_is_read_next(reader: Reader) -> None:
    films = Films(reader.page, "abcd")
    films.act("open", "d")
    films.finish()
    assert films.begun == "adbc"


def test_an_answer_and_the_share_that_was_sent_stand_in_the_entry(reader: Reader) -> None:
    films = Films(reader.page, "a")
    films.act("sent", "a", 0.4)
    assert films.entry(0, "sent") == 0.4
    films.act("done", "a")
    assert (films.entry(0, "answer"), films.entry(0, "problem")) == ("a", None)


def test_a_refused_film_keeps_its_problem_and_the_next_is_read(reader: Reader) -> None:
    films = Films(reader.page, "ab")
    films.act("fails", "a", {"title": "Not an image", "status": 415})
    assert films.states == "rr"
    assert films.entry(0, "state") == "refused"
    assert films.entry(0, "problem.title") == "Not an image"
    films.act("retry", "a")
    films.finish()
    assert (films.begun, films.states) == ("aba", "dd")


def test_a_film_that_is_refused_from_the_beginning_is_never_read(reader: Reader) -> None:
    films = Films(reader.page, "a")
    reader.page.evaluate("list.add([{ name: 'z', problem: { title: 'Encrypted' } }])")
    films.act("retry", "z")
    films.finish()
    assert (films.begun, films.states) == ("a", "dr")


def test_a_busy_server_is_asked_again_after_the_time_it_asked_for(reader: Reader) -> None:
    reader.page.clock.install()
    films = Films(reader.page, "ab")
    films.act("fails", "a", {"title": "Overloaded", "status": 503, "retryAfter": 50})
    reader.page.clock.run_for(40_000)  # it also runs by itself
    assert (films.begun, films.states) == ("a", "qq")
    assert films.entry(0, "problem.title") == "Overloaded"
    reader.page.clock.run_for(11_000)
    films.finish()
    assert (films.begun, films.states) == ("aba", "dd")


def test_a_server_that_stays_busy_is_asked_less_and_less(reader: Reader) -> None:
    reader.page.clock.install()
    films = Films(reader.page, "a")
    for seconds in (1, 2, 4, 8, 16, 32, 60, 60):
        films.act("fails", "a", {"title": "Overloaded", "status": 503, "retryAfter": 1})
        reader.page.clock.run_for(1000 * seconds - 700)
        assert films.states == "q"
        reader.page.clock.run_for(900)
        assert films.states == "r"


def test_of_three_hundred_films_for_a_busy_server_none_is_lost(reader: Reader) -> None:
    read = reader.page.evaluate(BUSY_SERVER, 300)
    assert read == [[str(index), None] for index in range(300)]


@pytest.mark.parametrize("status", [0, 401])
def test_without_a_server_or_a_key_reading_pauses_until_the_reader_goes_on(
    reader: Reader, status: int
) -> None:
    films = Films(reader.page, "abc")
    films.act("fails", "a", {"title": "No answer", "status": status})
    assert (films.begun, films.states) == ("a", "qqq")
    assert reader.page.evaluate("list.pause.problem.title") == "No answer"
    films.act("goOn")
    films.finish()
    assert (films.begun, films.states) == ("abca", "ddd")


def test_reading_goes_on_by_itself_once_one_film_got_through(reader: Reader) -> None:
    films = Films(reader.page, "ab")
    films.act("fails", "a", {"title": "No answer", "status": 0})
    films.act("open", "a")
    assert films.states == "rq"
    films.finish()
    assert films.states == "dd"


def test_stopping_gives_up_what_is_read_and_keeps_it_waiting(reader: Reader) -> None:
    films = Films(reader.page, "abc", lanes=2)
    films.act("stop")
    assert (films.begun, films.states) == ("ab", "qqq")
    assert reader.page.evaluate("pending.size") == 0
    films.act("goOn")
    films.finish()
    assert films.states == "ddd"


def test_a_film_opened_while_reading_is_stopped_is_read_alone(reader: Reader) -> None:
    films = Films(reader.page, "abc")
    films.act("stop")
    films.act("open", "c")
    films.finish()
    assert (films.begun, films.states) == ("ac", "qqd")


def test_a_film_that_is_removed_is_given_up_and_its_neighbour_opens(reader: Reader) -> None:
    films = Films(reader.page, "abc")
    films.act("open", "a")
    films.act("remove", "a")
    assert (films.begun, films.opened, films.states) == ("ab", ["a", "b"], "rq")
    films.act("open", "c")
    films.act("remove", "c")
    films.act("remove", "b")
    assert films.opened == ["a", "b", "c", "b", None]


def test_a_cleared_list_gives_up_everything_and_takes_films_again(reader: Reader) -> None:
    films = Films(reader.page, "abc", lanes=2)
    films.act("open", "b")
    films.act("clear")
    assert (films.opened, films.states) == (["b", None], "")
    assert reader.page.evaluate("[pending.size, list.counts.total]") == [0, 0]
    reader.page.evaluate("list.add([{ name: 'd', load: async () => new Blob() }])")
    assert films.states == "r"


def test_stepping_through_the_list_ends_at_its_ends(reader: Reader) -> None:
    films = Films(reader.page, "abc")
    for deed in ("next", "next", "next", "next", "previous", "previous", "previous"):
        films.act(deed)
    assert films.opened == ["a", "b", "c", "b", "a"]


def test_a_fault_of_ours_is_a_problem_too_and_stops_nobody(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    films = Films(page, "ab")
    films.act("breaks", "a")
    films.finish()
    assert films.states == "rd"
    assert films.entry(0, "problem.title").startswith("The server gave an answer this page")
    page.close()


def test_films_are_read_by_the_real_server(reader: Reader) -> None:
    assert reader.page.evaluate(REAL, base64.b64encode(bright_square()).decode()) == [
        "normal",
        "image/png",
        415,
    ]
