"""Run `cxr watch`: receive films, answer them and send the answers, all at the same time."""

import asyncio
import logging
import signal
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack

from models.film_files.errors import RadiographError
from service.audit.trail import asked_audit_trail
from service.http.headers import log_fault
from service.inference.engine import Caller, Engine
from service.inference.registry import Registry
from service.observability.metrics import Metrics
from service.problems import NoSourceInstance, UnknownModel
from service.settings import Settings
from service.watch.destinations import (
    Destination,
    NotTakenError,
    open_destination,
    open_web_client,
)
from service.watch.dicom_node import listening
from service.watch.dicomweb import fetch_new_films
from service.watch.journal import Journal, Waiting
from service.watch.settings import WatchSettings
from xai.explainer import Explainer

IDLE_SECONDS = 0.2
"""Pause before an empty journal is read again."""

Step = Callable[[], Coroutine[None, None, bool]]

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

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; finish what has begun, and leave the rest in the journal."""
        steps: list[tuple[Step, float]] = [
            (self.answer_one, IDLE_SECONDS),
            (self.send_one, IDLE_SECONDS),
        ]
        if self._settings.poll:
            steps.append((self.ask, self._settings.poll_seconds))
        async with asyncio.TaskGroup() as group:
            for step, seconds in steps:
                group.create_task(_repeat(step, seconds, stop))

    async def answer_one(self) -> bool:
        """Answer the film that has waited longest; return whether there was one."""
        film = await asyncio.to_thread(self._journal.next_film)
        if film is None:
            return False
        try:
            objects = await self._answer(film)
        except (RadiographError, NoSourceInstance) as error:
            log.warning("film %s has no answer: %s", film.key[:12], type(error).__name__)
            await asyncio.to_thread(self._journal.unusable, film.key)
        except Exception as error:
            log_fault(error)
            seconds = await asyncio.to_thread(self._journal.postpone_film, film)
            log.error("film %s could not be answered; again in %g s", film.key[:12], seconds)
        else:
            await asyncio.to_thread(self._journal.answered, film.key, objects)
            log.info("film %s is answered with %d objects", film.key[:12], len(objects))
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
        await asyncio.to_thread(self._send, one)
        return True

    def _send(self, one: Waiting) -> None:
        try:
            self._destination.store(one.content)
        except NotTakenError as error:
            log.error("an object about film %s is not taken: %s", one.key[:12], error)
        except OSError as error:  # errors of `requests` too, whose messages quote URLs with UIDs
            seconds = self._journal.postpone_object(one)
            why = type(error).__name__
            log.warning("film %s: not sent (%s); again in %g s", one.key[:12], why, seconds)
            return
        self._journal.done(one)

    async def ask(self) -> bool:
        """Fetch new films from the DICOMweb server; after a fault the next round tries again."""
        client = open_web_client(self._settings, self._settings.poll or "")
        try:
            await asyncio.to_thread(fetch_new_films, client, self._settings, self._journal)
        except (OSError, ValueError, LookupError, sqlite3.Error) as error:
            log.warning("the server can't be asked now: %s", type(error).__name__)
        return False


async def _repeat(step: Step, seconds: float, stop: asyncio.Event) -> None:
    """Repeat a step until told to stop; pause after one that had nothing to do."""
    while not stop.is_set():
        if not await step():
            try:
                await asyncio.wait_for(stop.wait(), seconds)
            except TimeoutError:
                continue
