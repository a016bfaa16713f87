"""Decoders run in processes that are bounded in number, time and memory, and know nothing."""

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from service.films import decoders
from service.films.decoders import PROCESS_BYTES, DecoderEndedError, DecoderPool
from tests.support.decoder_doings import (
    connection_to,
    limits_of_decoder,
    servers_secrets,
    spin,
    taken_over,
)
from tests.support.own_processes import children, descriptors
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and /proc are of Linux")

may_make_namespaces = pytest.mark.skipif(
    subprocess.run(["unshare", "--user", "--net", "true"], capture_output=True).returncode != 0,
    reason="this system lets nobody make a user namespace",
)


def with_pool(
    story: Callable[[DecoderPool], Awaitable[object]], *, size: int = 1, cpu_seconds: float = 30
) -> None:
    """Run a story with a pool, and close the pool."""

    async def run() -> None:
        pool = DecoderPool(size, cpu_seconds=cpu_seconds)
        try:
            await story(pool)
        finally:
            await asyncio.to_thread(pool.close)

    asyncio.run(run())


def answer_of(work: Callable[..., object], *args: object, cpu_seconds: float = 30) -> object:
    """Return what a function returns in a decoder of its own."""
    answers = []

    async def story(pool: DecoderPool) -> None:
        answers.append(await pool.run(work, *args))

    with_pool(story, cpu_seconds=cpu_seconds)
    return answers[0]


def test_a_decoder_knows_no_setting_and_no_password(monkeypatch):
    monkeypatch.setenv("CXR_AUDIT_URL", "postgresql+psycopg://user:password@host/database")

    async def story(pool: DecoderPool) -> None:
        environment = Path(f"/proc/{await pool.run(os.getpid)}/environ").read_bytes()
        names = {setting.split(b"=")[0] for setting in environment.split(b"\0") if setting}
        assert names <= {b"OPENBLAS_NUM_THREADS", b"LD_LIBRARY_PATH"}

    with_pool(story)


@may_make_namespaces
def test_a_decoder_reaches_no_network():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert connection_to(port) == "connected"
        assert answer_of(connection_to, port) == "OSError"


@may_make_namespaces
def test_a_decoder_can_not_read_the_servers_environment():
    assert answer_of(servers_secrets) == "PermissionError"


def test_a_decoder_has_limits_on_memory_core_files_and_time():
    memory, core, seconds = answer_of(limits_of_decoder, cpu_seconds=7)
    assert (memory, core) == (PROCESS_BYTES, 0)
    assert 7 < seconds < 20  # what Python's start took is not the film's
    with pytest.raises(MemoryError):
        answer_of(bytearray, PROCESS_BYTES)


def test_a_decoder_that_takes_too_much_time_of_a_processor_is_ended():
    with pytest.raises(DecoderEndedError):
        answer_of(spin, cpu_seconds=0.1)


def test_an_answer_that_would_run_code_is_none(tmp_path: Path):
    made = tmp_path / "made"
    with pytest.raises(DecoderEndedError):
        answer_of(taken_over, str(made))
    assert not made.exists()


def test_what_a_decoder_prints_is_no_part_of_its_answer():
    assert answer_of(os.write, 1, b"noise") == 5


def test_what_is_raised_is_raised_here_and_the_process_goes_on():
    async def story(pool: DecoderPool) -> None:
        first = await pool.run(os.getpid)
        with pytest.raises(ValueError, match="invalid literal"):
            await pool.run(int, "film")
        assert await pool.run(os.getpid) == first

    with_pool(story)


def test_a_process_is_replaced_after_some_films(monkeypatch):
    monkeypatch.setattr(decoders, "FILMS_PER_PROCESS", 2)

    async def story(pool: DecoderPool) -> None:
        pids = [await pool.run(os.getpid) for _ in range(4)]
        assert pids[0] == pids[1] != pids[2] == pids[3]

    with_pool(story)


def test_a_process_that_was_killed_while_it_was_idle_is_replaced():
    async def story(pool: DecoderPool) -> None:
        first = await pool.run(os.getpid)
        os.kill(first, signal.SIGKILL)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
        assert await pool.run(os.getpid) != first

    with_pool(story)


def test_there_are_no_more_processes_than_places():
    others = children()

    async def story(pool: DecoderPool) -> None:
        work = [asyncio.create_task(pool.run(time.sleep, 0.3)) for _ in range(6)]
        most = 0
        while not all(one.done() for one in work):
            most = max(most, len(children() - others))
            await asyncio.sleep(0.01)
        assert most == 2

    with_pool(story, size=2)


@pytest.fixture
def _nothing_stays() -> Iterator[None]:
    """Expect that afterwards there are no more children and descriptors than before."""
    before = children(), descriptors()
    yield
    wait_until(lambda: children() <= before[0] and descriptors() <= before[1])


@pytest.mark.usefixtures("_nothing_stays")
def test_hang_ups_at_any_moment_leave_neither_processes_nor_descriptors():
    others = children()

    def own() -> int:
        return len(children() - others)

    async def story(pool: DecoderPool) -> None:
        await pool.run(len, b"")
        before = own(), descriptors()
        draw = random.Random(18)
        for _ in range(10):
            work = [asyncio.create_task(pool.run(time.sleep, 60)) for _ in range(4)]
            for one in work:
                await asyncio.sleep(draw.uniform(0, 0.03))
                one.cancel()
            await asyncio.wait(work)
            assert all(one.cancelled() for one in work)
        await asyncio.to_thread(wait_until, lambda: own() < 2)
        await pool.run(len, b"")
        await asyncio.to_thread(wait_until, lambda: (own(), descriptors()) == before)

    with_pool(story, size=2)


@pytest.mark.usefixtures("_nothing_stays")
def test_a_closed_pool_has_ended_its_processes_also_one_at_work():
    async def story(pool: DecoderPool) -> None:
        work = asyncio.create_task(pool.run(time.sleep, 60))
        await asyncio.sleep(0.1)
        pool.close()
        with pytest.raises(DecoderEndedError):
            await work

    with_pool(story, size=2)


def test_a_long_answer_does_not_keep_the_event_loop():
    async def story(pool: DecoderPool) -> None:
        await pool.run(len, b"")
        work, longest, last = asyncio.create_task(pool.run(bytes, 157_000_000)), 0.0, time.time()
        while not work.done():
            await asyncio.sleep(0.001)
            longest, last = max(longest, time.time() - last), time.time()
        assert len(await work) == 157_000_000
        assert longest < 0.3  # 0.02 s here, 0.8 s and more where the loop itself reads the answer

    with_pool(story)
