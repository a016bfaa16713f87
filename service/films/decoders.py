"""Run decoders in a bounded pool of processes that have less than the server has.

A process is started when a film waits and none is idle, answers one film at a time, and is ended
when its request is, when it breaks, and after `FILMS_PER_PROCESS` films. Pipes are written and read
in threads, so that an answer of 100 MB does not keep the event loop.
"""

import asyncio
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import BinaryIO, TypeVar, TypeVarTuple, cast

from models.film_files.values import ValueScale, Window
from models.radiograph import NetworkPixels
from service.films import decoder_process
from service.films.decoding import RawFilm, SeenFilm

FILMS_PER_PROCESS = 200
"""A process then ends, and with it what its libraries have leaked."""
PROCESS_BYTES = 3 * 2**30
"""Address space of a process: over three times what the largest film allowed needs."""
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"} | {
    name: os.environ[name] for name in ("LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ
}
"""All that a process gets: no setting, no password. The last two find Python's own libraries."""

ANSWERS = (SeenFilm, NetworkPixels, RawFilm, ValueScale, Window)
"""Classes of which a decoder's answer may be, besides numbers, bytes, arrays and exceptions."""
ARRAYS = ("_frombuffer", "_reconstruct", "dtype", "ndarray", "scalar")
OURS = ("models", "service", "builtins")

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


class DecoderEndedError(Exception):
    """A decoder crashed, was killed, or answered what none would."""


class DecoderPool:
    """A bounded number of processes that decode films. Used on the event loop alone."""

    def __init__(self, size: int, *, cpu_seconds: float) -> None:
        """Start nothing yet.

        Args:
            size: Most processes.
            cpu_seconds: Time of a processor that one film may take.
        """
        self._places = asyncio.Semaphore(size)
        self._threads = ThreadPoolExecutor(size, "decoder")
        self._cpu_seconds = cpu_seconds
        self._idle: list[Decoder] = []
        self._busy: set[Decoder] = set()

    async def run(self, work: Callable[[*Ts], T], *args: *Ts) -> T:
        """Return what a function of a module returns, or raise what it raises.

        If the caller is cancelled, the process is killed, at once or as soon as it has started.

        Raises:
            DecoderEndedError: The process ended before it answered.
            OSError: The system can't start a process.
        """
        await self._places.acquire()
        decoder = self._take()
        self._busy.add(decoder)
        loop = asyncio.get_running_loop()
        asked = loop.run_in_executor(self._threads, decoder.ask, work, args)
        asked.add_done_callback(partial(self._put_back, decoder))
        try:
            has_raised, answer = await asyncio.shield(asked)
        except asyncio.CancelledError:
            if not asked.done():  # else it may be another's by now
                decoder.kill()
            raise
        if has_raised:
            raise cast(Exception, answer)
        return cast(T, answer)

    def _take(self) -> "Decoder":
        while self._idle:
            decoder = self._idle.pop()
            if not decoder.is_spent:
                return decoder
            _close(decoder)
        return Decoder(self._cpu_seconds)

    def _put_back(self, decoder: "Decoder", asked: asyncio.Future[tuple[bool, object]]) -> None:
        self._places.release()
        self._busy.discard(decoder)
        if asked.cancelled() or asked.exception() or decoder.is_spent:
            _close(decoder)
        else:
            self._idle.append(decoder)

    def close(self) -> None:
        """End every process, and start none any more."""
        for decoder in self._busy:
            decoder.kill()
        for decoder in self._idle:
            decoder.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


class Decoder:
    """A process that decodes films. `ask` and `close` block: call them in threads."""

    def __init__(self, cpu_seconds: float) -> None:
        self._cpu_seconds = cpu_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._films = 0
        self._is_killed = False

    @property
    def is_spent(self) -> bool:
        """Whether it is to be closed instead of asked again."""
        has_ended = self._process is not None and self._process.poll() is not None
        return has_ended or self._is_killed or self._films >= FILMS_PER_PROCESS

    def ask(self, work: Callable[..., object], args: tuple[object, ...]) -> tuple[bool, object]:
        """Return whether a function raised an exception, and that or what it returned.

        Raises:
            DecoderEndedError: The process ended before it answered.
            OSError: The system can't start a process.
        """
        self._process = self._process or _started(self._cpu_seconds)
        if self._is_killed:  # while it started
            self._process.kill()
        self._films += 1
        questions = cast(BinaryIO, self._process.stdin)
        try:
            pickle.dump((work, args), questions, pickle.HIGHEST_PROTOCOL)
            questions.flush()
        except OSError as error:
            raise DecoderEndedError from error
        return _answer(cast(BinaryIO, self._process.stdout))

    def kill(self) -> None:
        """End the process, at once or as soon as it has started."""
        self._is_killed = True
        if self._process:
            self._process.kill()

    def close(self) -> None:
        """End the process, and wait until it and its pipes are gone."""
        self.kill()
        if self._process:
            with suppress(BrokenPipeError), self._process:
                pass


class AnswerReader(pickle.Unpickler):
    """Read an answer, and nothing that runs code: a film may have taken its decoder over."""

    def find_class(self, module: str, name: str) -> object:
        """Return a class or function that may be part of an answer.

        Raises:
            UnpicklingError: It may not be.
        """
        package = module.partition(".")[0]
        if package == "numpy" and name in ARRAYS:
            return super().find_class(module, name)
        if package in OURS:
            found = super().find_class(module, name)
            if found in ANSWERS or (isinstance(found, type) and issubclass(found, Exception)):
                return found
        raise pickle.UnpicklingError("Not part of any answer.")


def _started(cpu_seconds: float) -> subprocess.Popen[bytes]:
    cache = [f"-Xpycache_prefix={sys.pycache_prefix}"] if sys.pycache_prefix else []
    limits = [str(PROCESS_BYTES), str(cpu_seconds)]
    return subprocess.Popen(
        [sys.executable, "-I", *cache, decoder_process.__file__, *limits, *sys.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a decoder may print what a film says
        env=ENVIRONMENT,
        start_new_session=True,  # Ctrl-C is for the server, which finishes its requests
    )


def _answer(answers: BinaryIO) -> tuple[bool, object]:
    try:
        return cast(tuple[bool, object], AnswerReader(answers).load())
    except Exception as error:  # a pickle cut short may raise any
        raise DecoderEndedError from error


def _close(decoder: Decoder) -> None:
    asyncio.get_running_loop().run_in_executor(None, decoder.close)
