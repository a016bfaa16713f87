"""Tests of the page as a whole: names, sizes, motion, themes, content policy, weight, texts."""

import re

import pytest
from playwright.sync_api import Browser, Page, Response, ViewportSize, expect

from service.app import VIEWER
from tests.browser.films import bright_square
from tests.browser.reader import FAILED, READ, Reader, reading

pytestmark = pytest.mark.browser

UNNAMED = """
() => [...document.querySelectorAll("button, input, select, canvas, progress, [role]")]
  .filter((element) => element.checkVisibility())
  .filter((element) => !(element.innerText || element.labels?.length
                         || element.getAttribute("aria-label") || element.ariaHidden === "true"
                         || element.getAttribute("aria-labelledby")
                         || element.matches("[role=status]")))
  .map((element) => element.outerHTML)
"""
CUT_OFF = """
() => [...document.querySelectorAll("button, .button, label, input, select, h2, .research-only")]
  .filter((element) => element.checkVisibility())
  .filter((element) => {
    const { left, right, width } = element.getBoundingClientRect();
    return width > 1 && (left < 0 || right > innerWidth + 1);
  })
  .map((element) => element.outerHTML)
"""
WEIGHT = """
() => performance.getEntries()
  .filter(({ name, transferSize }) => transferSize && !name.includes("/samples/"))
  .map(({ name, transferSize, decodedBodySize }) => [name, transferSize, decodedBodySize])
"""
MOVING = """
() => [...document.querySelectorAll("progress:not([value])")].filter((bar) => bar.checkVisibility())
  .length + document.getAnimations().length
"""
LITERAL = re.compile(r"""(["'`])((?:(?!\1)[^\\\n]|\\.)*)\1""")
SENTENCE = re.compile(r"^[A-Z][a-z]+[,:]? \w|[a-z]{2,} [a-z]{2,} [a-z]{2,}")
SHOWN = re.compile(
    r"(?:textContent|innerText|title|ariaLabel|ariaValueText|placeholder|alt|label)"
    r"\s*[:=]\s*([\"'`])[^\"'`$]*[A-Za-z\u00d7][^\"'`]*\1"
)
COMMENT = re.compile(r"/\*.*?\*/|(?<!:)//[^\n]*", re.DOTALL)


def words_in(code: str) -> list[str]:
    """Return what a script without comments says to a person, as far as one can tell."""
    literals = [re.sub(r"\$\{.*?\}", "", found[2]) for found in LITERAL.finditer(code)]
    sentences = [literal for literal in literals if SENTENCE.search(literal)]
    return sentences + [found[0] for found in SHOWN.finditer(code)]


def overflow(page: Page) -> int:
    """Return by how many pixels the page is wider than the window."""
    return page.evaluate("() => document.documentElement.scrollWidth - innerWidth")


def test_research_use_only_and_what_is_stored_are_said_at_every_moment(reader: Reader) -> None:
    page = reader.page

    def is_said() -> None:
        for words in ("Research use only. Not a medical device.", "It is not stored there"):
            said = page.get_by_text(words).and_(page.locator(":visible"))
            expect(said).to_have_count(1)
            expect(said).to_be_in_viewport()

    is_said()
    page.route("**/v1/explain**", lambda route: None)
    reader.picks(bright_square())
    expect(page.locator("#progress")).to_be_visible()
    is_said()
    page.unroute("**/v1/explain**")
    page.wait_for_selector(READ)
    is_said()
    reader.picks(b"a letter", "letter.txt")
    page.wait_for_selector(FAILED)
    is_said()


@pytest.mark.parametrize("opener", ["Keys ?", "Model card"])
def test_a_dialog_says_research_use_only_too(reader: Reader, opener: str) -> None:
    reader.opens(bright_square())
    reader.presses(opener)
    expect(reader.page.get_by_role("dialog")).to_contain_text("Not a medical device.")


def test_every_control_and_picture_has_a_name(reader: Reader) -> None:
    assert reader.page.evaluate(UNNAMED) == []
    reader.picks_all({"1.png": bright_square(), "2.txt": b"a letter"})
    expect(reader.page.locator(".counts")).to_have_text("1 of 2 read, 1 refused")
    assert reader.page.evaluate(UNNAMED) == []
    reader.takes("Film and map")
    reader.presses("Mask it")
    assert reader.page.evaluate(UNNAMED) == []


def test_a_screen_reader_hears_the_answer(reader: Reader) -> None:
    reader.opens(bright_square())
    summary = reader.page.locator("#summary[role=status]")
    expect(summary).to_contain_text("Film read. Called: Normal")


@pytest.mark.parametrize("size", [(1280, 720), (1024, 768), (768, 1024), (390, 844)])
def test_nothing_is_cut_off_on_a_small_screen(comparer: Reader, size: tuple[int, int]) -> None:
    page = comparer.page
    page.set_viewport_size(ViewportSize(width=size[0], height=size[1]))
    assert (overflow(page), page.evaluate(CUT_OFF)) == (0, [])
    expect(page.locator("footer")).to_be_in_viewport(ratio=1 if size[0] > 700 else 0)
    comparer.picks_all(
        {"a_very_long_name_of_a_film_0001.png": bright_square(), "z.txt": b"a letter"}
    )
    page.wait_for_selector(READ)
    for mode in ("One film", "Film and map", "Compare models"):
        comparer.takes(mode)
        assert (overflow(page), page.evaluate(CUT_OFF)) == (0, [])
        for canvas in page.locator(".stage canvas").all():
            box = canvas.bounding_box()
            assert box is not None
            assert box["height"] > 200


def test_nothing_moves_for_a_reader_who_wants_less_motion(browser: Browser, address: str) -> None:
    with reading(browser, address) as reader:
        reader.page.route("**/v1/explain**", lambda route: None)
        reader.picks_all({"1.png": bright_square(), "2.png": bright_square()})
        expect(reader.page.locator("#progress-words")).to_contain_text("Reading")
        assert reader.page.evaluate(MOVING) > 0
        reader.page.emulate_media(reduced_motion="reduce")
        assert reader.page.evaluate(MOVING) == 0
        expect(reader.page.locator("#progress-words")).to_be_visible()


def test_the_theme_is_dark_until_the_reader_chooses_the_light_one_and_stays_so(
    reader: Reader,
) -> None:
    html = reader.page.locator("html")
    expect(html).to_have_attribute("data-theme", "dark")
    reader.presses("Light / dark")
    reader.page.reload()
    expect(html).to_have_attribute("data-theme", "light")


def test_the_page_comes_with_a_policy_that_forbids_inline_and_evaluated_code(
    reader: Reader,
) -> None:
    answer: Response | None = reader.page.goto(reader.address)
    assert answer is not None
    rules = dict(
        rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; ")
    )
    assert (rules["default-src"], rules["script-src"]) == ("'none'", "'self'")
    assert (rules["style-src"], rules["connect-src"]) == ("'self'", "'self'")
    assert "unsafe" not in answer.headers["content-security-policy"]


def test_the_page_has_no_inline_script_or_style_and_loads_nothing_from_elsewhere() -> None:
    html = (VIEWER / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", html)
    files = [file for file in VIEWER.rglob("*.*") if "samples" not in file.parts]
    assert len(files) > 40
    for file in files:
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//\w+\.\w+/", text), file.name
        assert not re.search(r"innerHTML|\beval\(|new Function|setAttribute\(.style", text), (
            file.name
        )


def test_the_page_without_films_is_small(reader: Reader) -> None:
    reader.opens(bright_square())
    files = [file for file in reader.page.evaluate(WEIGHT) if "/v1/" not in file[0]]
    assert len(files) > 40
    assert sum(sent for _, sent, _ in files) < 200_000


def test_every_word_that_the_page_says_stands_in_its_folders_strings() -> None:
    html = (VIEWER / "index.html").read_text(encoding="utf-8")
    html = re.sub(r"<title>.*?</title>|<noscript>.*?</noscript>", "", html)
    assert re.findall(r">[^<]*\w[^<]*<", html) == []
    assert re.findall(r"\b(?:title|alt|placeholder|aria-label)=", html) == []
    others = [file for file in VIEWER.rglob("*.js") if file.name != "strings.js"]
    assert len(others) > 40
    for file in others:
        code = COMMENT.sub("", file.read_text(encoding="utf-8"))
        assert words_in(code) == [], file.name


@pytest.mark.parametrize(
    "line",
    [
        'textContent: "Close"',
        'one.title = "The film"',
        'say("Something went wrong")',
        "say(`not a single word of it`)",
    ],
)
def test_a_planted_word_would_be_found(line: str) -> None:
    assert words_in(line)
