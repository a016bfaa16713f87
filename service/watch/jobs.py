"""Run `cxr watch`: receive films, answer them and send the answers, all at the same time."""

import asyncio
import logging
import signal
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from functools import partial
from itertools import count
from typing import TypeVar

from models.film_files.errors import RadiographError
from service.audit.trail import asked_audit_trail
from service.http.headers import log_fault
from service.inference.engine import Caller, Engine
from service.inference.registry import Registry
from service.observability.metrics import Metrics
from service.problems import NoSourceInstance, Unavailable, UnknownModel
from service.settings import Settings
from service.watch.destinations import (
    Destination,
    NotStoredError,
    NotTakenError,
    UnreachableError,
    open_destination,
)
from service.watch.dicom_node import listening
from service.watch.dicomweb import fetch_new_films
from service.watch.journal import Journal, Waiting, pause_seconds
from service.watch.settings import WatchSettings
from service.watch.web_client import open_web_client
from xai.explainer import Explainer

IDLE_SECONDS = 0.2
"""Pause before an empty journal is read again."""

Step = Callable[[], Coroutine[None, None, bool]]
Postpone = Callable[..., float | None]
T = TypeVar("T")

log = logging.getLogger(__name__)


async def watch(settings: WatchSettings, service: Settings, model: str | None) -> None:
    """Receive, answer and send until a signal comes; then finish what has begun.

    Raises:
        OSError: The address can't be listened on, or a file can't be used.
        ValueError: The journal or the model has a fault.
    """
    stop = asyncio.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(one, stop.set)
    async with AsyncExitStack() as opened:
        registry = Registry(service)
        explainer = _asked(registry, model)
        engine = Engine(registry, service, Metrics(), asked_audit_trail(service))
        opened.callback(engine.close)
        journal = open_journal(settings)
        opened.callback(journal.close)
        journal.try_again()
        journal.postpone_begun()
        if settings.listen is not None:
            port = opened.enter_context(listening(settings, journal))
            log.info("listening as %s on %s:%s", settings.ae_title, settings.host, port)
        destination = open_destination(settings)
        await Jobs(settings, journal, engine, explainer, destination).run(stop)
        log.info("stopped; waiting: %s", journal.waiting())


def _asked(registry: Registry, model: str | None) -> Explainer:
    try:
        return registry.explainer(model)
    except UnknownModel as error:
        raise ValueError(f"--model: {error}") from error


def open_journal(settings: WatchSettings) -> Journal:
    """Return the journal of the settings; see `Journal`."""
    return Journal(
        settings.journal,
        max_bytes=settings.max_waiting_bytes,
        retry_seconds=settings.retry_seconds,
        max_faults=settings.max_attempts,
    )


class Jobs:
    """Poll for films, answer them and send the answers, each in a task of its own."""

    def __init__(
        self,
        settings: WatchSettings,
        journal: Journal,
        engine: Engine,
        explainer: Explainer,
        destination: Destination,
    ) -> None:
        self._settings, self._journal = settings, journal
        self._engine, self._explainer, self._destination = engine, explainer, destination
        self._stop = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; finish what has begun, and leave the rest in the journal."""
        self._stop = stop
        steps: list[tuple[Step, float]] = [
            (self.answer_one, IDLE_SECONDS),
            (self.send_one, IDLE_SECONDS),
        ]
        if self._settings.poll:
            steps.append((self.ask, self._settings.poll_seconds))
        async with asyncio.TaskGroup() as group:
            for step, seconds in steps:
                group.create_task(self._repeat(step, seconds))

    async def answer_one(self) -> bool:
        """Answer the film that has waited longest; return whether there was one."""
        film = await asyncio.to_thread(self._journal.next_film)
        if film is None:
            return False
        name = film.key[:12]
        await self._change(self._journal.begin, film)
        try:
            objects = await self._answer(film)
        except (RadiographError, NoSourceInstance) as error:
            log.warning("film %s has no answer: %s", name, type(error).__name__)
            await self._change(self._journal.unusable, film.key, type(error).__name__)
        except Exception as error:
            log_fault(error)
            is_counted = not isinstance(error, Unavailable)
            await self._postpone(self._journal.postpone_film, film, error, is_counted)
        else:
            await self._change(self._journal.answered, film.key, objects)
            log.info("film %s is answered with %d objects", name, len(objects))
        return True

    async def _answer(self, film: Waiting) -> list[bytes]:
        caller = Caller("watch", film.key[:12], None)
        film_answer = await self._engine.answer(self._explainer, film.content, caller)
        return await self._engine.result_files(
            film.content, film_answer.explained_prediction(), film_answer.top_class
        )

    async def send_one(self) -> bool:
        """Send the object that has waited longest; return whether there was one."""
        one = await asyncio.to_thread(self._journal.next_object)
        if one is None:
            return False
        try:
            await asyncio.to_thread(self._destination.store, one.content)
        except NotTakenError as error:
            log.error("an object about film %s is not taken: %s", one.key[:12], error)
            await self._change(self._journal.refused, one, str(error))
        except Exception as error:  # whatever a destination answers
            is_counted = not isinstance(error, UnreachableError)
            await self._postpone(self._journal.postpone_object, one, error, is_counted)
        else:
            await self._change(self._journal.done, one)
        return True

    async def ask(self) -> bool:
        """Fetch new films from the DICOMweb server; after a fault the next round tries again."""
        try:
            await asyncio.to_thread(
                fetch_new_films,
                open_web_client(self._settings, self._settings.poll or ""),
                self._settings,
                self._journal,
                self._stop.is_set,
            )
        except Exception as error:  # whatever a server answers
            log.warning("the server can't be asked now: %s", type(error).__name__)
        return False

    async def _postpone(
        self, postpone: Postpone, one: Waiting, error: Exception, is_counted: bool
    ) -> None:
        """Try something again later, or give it up in the end."""
        # Other errors' messages may quote a film, or an address with UIDs.
        why = str(error) if isinstance(error, NotStoredError) else type(error).__name__
        seconds = await self._change(partial(postpone, one, why, is_counted=is_counted))
        done = "not sent" if postpone == self._journal.postpone_object else "not answered"
        then = "given up; see --failed" if seconds is None else f"again in {seconds:g} s"
        log.warning("film %s: %s (%s); %s", one.key[:12], done, why, then)

    async def _change(self, change: Callable[..., T], *args: object) -> T:
        """Change the journal; while that fails, as on a full disk, wait and try again.

        So nothing is answered or sent a second time only because it could not be written down.
        """
        for attempt in count():
            try:
                return await asyncio.to_thread(change, *args)
            except (OSError, sqlite3.Error) as error:
                seconds = pause_seconds(attempt, self._journal.retry_seconds)
                why = type(error).__name__
                log.error("the journal can't be written (%s); again in %g s", why, seconds)
                if await self._is_stopped_after(seconds):
                    raise
        raise AssertionError  # it counts without end

    async def _repeat(self, step: Step, seconds: float) -> None:
        """Repeat a step until told to stop; pause after a fault or when there is nothing to do."""
        faults = 0
        while not self._stop.is_set():
            try:
                is_busy, faults = await step(), 0
            except Exception as error:  # no fault of one step ends the others
                log_fault(error)
                pause = pause_seconds(faults, self._journal.retry_seconds)
                is_busy, faults = False, faults + 1
            else:
                pause = 0
            if not is_busy:
                await self._is_stopped_after(max(seconds, pause))

    async def _is_stopped_after(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
        return self._stop.is_set()
