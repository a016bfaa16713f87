"""Request ids and W3C traces, as a client sees them."""

import re

import httpx
import pytest
from starlette.datastructures import Headers

from service.observability.trace_context import callers_span

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def traceparent(client: httpx.Client, *sent: str) -> list[str]:
    """Return the fields of the answer's `traceparent` to a request with these."""
    answer = client.get("/health/live", headers=[("traceparent", one) for one in sent])
    return answer.headers["traceparent"].split("-")


@pytest.mark.parametrize("flags", ["00", "01"])
def test_an_answer_is_a_new_step_of_the_caller_s_trace(client: httpx.Client, flags: str):
    version, trace_id, span_id, answered_flags = traceparent(client, f"00-{TRACE}-{SPAN}-{flags}")
    assert (version, trace_id, answered_flags) == ("00", TRACE, flags)
    assert re.fullmatch("[0-9a-f]{16}", span_id)
    assert span_id != SPAN


@pytest.mark.parametrize(
    "sent",
    [
        f"cc-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like",
    ],
)
def test_versions_to_come_are_understood(client: httpx.Client, sent: str):
    assert traceparent(client, sent)[:2] == ["00", TRACE]


def test_blanks_around_it_do_not_count():  # httpx sends none
    assert callers_span(Headers({"traceparent": f"\t00-{TRACE}-{SPAN}-01 "})) == (TRACE, SPAN, True)


def test_flags_that_are_not_known_are_not_passed_on(client: httpx.Client):
    assert traceparent(client, f"00-{TRACE}-{SPAN}-ff")[3] == "01"


@pytest.mark.parametrize(
    "sent",
    [
        (),
        ("",),
        (f"ff-{TRACE}-{SPAN}-01",),
        (f"00-{TRACE}-{SPAN}-01-more",),
        (f"00-{TRACE}-{SPAN}-01-",),
        (f"cc-{TRACE}-{SPAN}-01.more",),
        (f"00-{'0' * 32}-{SPAN}-01",),
        (f"00-{TRACE}-{'0' * 16}-01",),
        (f"00-{TRACE.upper()}-{SPAN}-01",),
        (f"00-{TRACE[1:]}-{SPAN}-01",),
        (f"00-{TRACE}-{SPAN}-1",),
        (f"00-{TRACE}-{SPAN}",),
        (f"0-{TRACE}-{SPAN}-01",),
        (f"00-{TRACE}-{SPAN[1:]}g-01",),
        (f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01"),
    ],
)
def test_an_ill_formed_traceparent_begins_a_new_trace(client: httpx.Client, sent: tuple[str, ...]):
    version, trace_id, _, flags = traceparent(client, *sent)
    assert (version, flags) == ("00", "00")
    assert re.fullmatch("[0-9a-f]{32}", trace_id)
    assert trace_id not in (TRACE, "0" * 32)


@pytest.mark.parametrize("given", ["a", "Root=1-67891233:x_y.z", "9" * 64])
def test_a_sane_request_id_comes_back(client: httpx.Client, given: str):
    answer = client.get("/nothing", headers={"X-Request-ID": given})
    assert answer.headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "9" * 65, "a b", 'a"', "{a}", "a\\n", "<a>", "é"])
def test_any_other_request_id_is_replaced(client: httpx.Client, given: str):
    answer = client.get("/nothing", headers={"X-Request-ID": given.encode()})
    assert re.fullmatch(
        r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", answer.headers["X-Request-ID"]
    )


def test_requests_without_an_id_get_different_ones(client: httpx.Client):
    answers = [client.get("/health/live").headers for _ in range(3)]
    assert len({headers["X-Request-ID"] for headers in answers}) == 3
    assert len({headers["traceparent"] for headers in answers}) == 3
