"""Decode films and run models on them, off the event loop and within bounds."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar, cast

from models.film_files.errors import UnreadableFilmError
from models.radiograph import PixelBox, is_dicom
from service.answers.film_answer import FilmAnswer
from service.answers.schemas import ExplainedPrediction
from service.audit.rows import audit_row
from service.audit.trail import AuditTrail
from service.dicom.answer import result_files
from service.films.decoders import DecoderEndedError, DecoderPool
from service.films.decoding import (
    Limits,
    Paint,
    RawFilm,
    SeenFilm,
    View,
    grey_png,
    painted_png,
    raw_film,
    seen_film,
)
from service.films.masks import Mask, mask_outside
from service.films.uploads import NO_MODEL, Admission
from service.inference.batching import Batcher
from service.inference.registry import Registry
from service.observability.metrics import Metrics
from service.problems import UnsoundModel
from service.settings import Settings
from xai.ensemble import Ensemble
from xai.explainer import Answers, Explainer, Floats
from xai.measures.faithfulness import TenthTest, tenth_films, tenth_test
from xai.runtime.processors import available_cpus

ROWS_AT_ONCE = 8
"""Audit rows written at the same time, which share a flush of the disk."""

P = ParamSpec("P")
T = TypeVar("T")


class Caller(NamedTuple):
    """The caller of a request, as the audit trail records it.

    Attributes:
        verb: The request's kind, such as `predict`.
        request_id: As in the log.
        key_id: The API key's; None where none is needed.
        force: Whether maps of a refused film are asked for; None where no map is.
    """

    verb: str
    request_id: str
    key_id: str | None
    force: bool | None = None


class Engine:
    """Models, their queues, and the bounded number of films worked on at the same time.

    A film is decoded in a thread, or in another process if it is a DICOM file: the decoders of
    those hold Python's lock while they work, and some are old C++ that may crash on a malformed
    one. Then it waits in its model's queue, whose batches are run in threads. Models are loaded and
    reloaded in one thread of their own, however many requests ask for it.

    Attributes:
        registry: The models by name.
        settings: What the operator chose.
        metrics: Counts and times.
        admission: Places and bytes for requests.
        audit: The audit trail that answers are written to; None keeps none.
        at_once: How many films are decoded, and batches run, at the same time.
    """

    def __init__(
        self,
        registry: Registry,
        settings: Settings,
        metrics: Metrics,
        audit: AuditTrail | None = None,
    ) -> None:
        self.registry, self.settings, self.metrics = registry, settings, metrics
        self.audit = audit
        self.admission = Admission(
            places=settings.queue_size, max_held_bytes=settings.max_held_bytes
        )
        metrics.watch(lambda: registry.explainers, self.admission.taken)
        self._limits = Limits(settings.max_upload_bytes, settings.max_film_pixels)
        self.at_once = settings.concurrency or available_cpus()
        self._readers = ThreadPoolExecutor(self.at_once, "reader")
        self._runners = ThreadPoolExecutor(self.at_once, "runner")
        self._writers = ThreadPoolExecutor(ROWS_AT_ONCE, "writer")
        self._loader = ThreadPoolExecutor(1, "loader")
        self._decoders = DecoderPool(self.at_once, cpu_seconds=settings.request_seconds)
        self._batchers: dict[Explainer, Batcher] = {}

    def close(self) -> None:
        """Start nothing more, and end the decoders; what else runs is not waited for."""
        self._decoders.close()
        for executor in (self._readers, self._runners, self._writers, self._loader):
            executor.shutdown(wait=False, cancel_futures=True)

    async def ask(
        self,
        explainers: Sequence[Explainer],
        film: bytes,
        caller: Caller,
        mask: Mask | None = None,
    ) -> tuple[list[FilmAnswer], dict[str, UnsoundModel]]:
        """Return each sound model's answer about a film, and the problems of the others by name.

        Raises:
            UnsoundModel: None of the models is sound.
            RadiographError, MalformedMask, AuditUnavailable: See `answer`.
        """
        unsound: dict[str, UnsoundModel] = {}

        async def answer(explainer: Explainer) -> FilmAnswer | None:
            try:
                return await self.answer(explainer, film, caller, mask)
            except UnsoundModel as problem:
                unsound[explainer.card.name] = problem
                return None

        found = [one for one in await asyncio.gather(*map(answer, explainers)) if one]
        if not found:
            raise next(iter(unsound.values()))
        return found, unsound

    async def answer(
        self, explainer: Explainer, film: bytes, caller: Caller, mask: Mask | None = None
    ) -> FilmAnswer:
        """Return a model's answer about a film, after it is written to the audit trail.

        Args:
            explainer: The model.
            film: Its bytes.
            caller: Of the request.
            mask: What the model must not see; a masked film is not counted.

        Raises:
            RadiographError: The film can't be used.
            MalformedMask: The mask lies outside the film.
            UnsoundModel: The model fails its checks.
            AuditUnavailable: The answer can't be written to the audit trail.
        """
        self.registry.check_sound(explainer)
        name = explainer.card.name
        with self.metrics.stage("decode", name):
            seen = await self._seen(film, View.of(explainer.card), mask)
        answers = await self.infer(explainer, seen.input.pixels[None, None])
        film_answer = FilmAnswer(explainer, seen, answers)
        if mask is None:
            self.metrics.count_film(film_answer, caller.force)
        await self.write_down(caller, explainer, answers, [film], seen.mask)
        return film_answer

    async def together(
        self, ensemble: Ensemble, film_answers: Sequence[FilmAnswer], film: bytes, caller: Caller
    ) -> FilmAnswer:
        """Return an ensemble's answer about a film, after it is written to the audit trail.

        Args:
            ensemble: Of the models that answered, among others.
            film_answers: Of its members, and maybe of other models.
            film: Its bytes.
            caller: Of the request.

        Raises:
            AuditUnavailable: The answer can't be written to the audit trail.
        """
        by_name = {one.explainer.card.name: one for one in film_answers}
        members = [by_name[member.card.name] for member in ensemble.members]
        answers = ensemble.answers([member.answers for member in members])
        seen = members[0].film
        await self.write_down(caller, ensemble, answers, [film], seen.mask)
        # Of a model, a prediction takes no more than the card and the hash, which it has.
        return FilmAnswer(cast(Explainer, ensemble), seen, answers)

    async def _seen(self, film: bytes, view: View, mask: Mask | None) -> SeenFilm:
        seen = await self._read(seen_film, film, view, self._limits, mask)
        if mask is not None and seen.mask is None:
            raise mask_outside(seen.rows, seen.columns)
        return seen

    async def infer(self, explainer: Explainer, pixels: Floats) -> Answers:
        """Return a model's answers for network pixels [batch, 1, rows, columns] in [0, 1].

        Raises:
            UnsoundModel: The model fails its checks.
        """
        batcher = self._batcher(explainer)
        if not explainer.is_loaded:
            self.registry.check_sound(explainer)
            # Not among the runs, or requests to other models would wait as well.
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._loader, self.registry.load, explainer)
        return Answers.joined(await asyncio.gather(*(batcher(film) for film in pixels)))

    async def tested(self, film_answer: FilmAnswer, number: int) -> TenthTest:
        """Test the map of a class or group: mask the film's hottest tenth, and random tenths.

        It costs 25 more films in the model's queue; none of them is counted or audited.

        Args:
            film_answer: The film, and the map to test.
            number: Of the class or group.
        """
        pixels, card = film_answer.film.input.pixels, film_answer.explainer.card
        cells = card.cells_on(film_answer.answers.region_of(0))
        films = await asyncio.get_running_loop().run_in_executor(
            self._readers, tenth_films, pixels, film_answer.all_evidence[number], cells
        )
        found = await self.infer(film_answer.explainer, films)
        probability = film_answer.all_probabilities[number]
        return tenth_test(probability, found.all_probabilities(card)[:, number])

    async def write_down(
        self,
        caller: Caller,
        explainer: Explainer | Ensemble,
        answers: Answers,
        sent: Sequence[bytes],
        mask: PixelBox | None = None,
    ) -> None:
        """Write the answers about each film to the audit trail, if there is one.

        Args:
            caller: Of the request.
            explainer: The model.
            answers: Its, for all films.
            sent: The bytes of each film, or of its tensor.
            mask: Pixels that the model did not see of each film; None is none.

        Raises:
            AuditUnavailable: Not all rows are known to be written.
        """
        if self.audit is None:
            return
        loop = asyncio.get_running_loop()
        rows = (
            loop.run_in_executor(
                self._writers, _write_row, self.audit, caller, explainer, answer, film, mask
            )
            for answer, film in zip(answers.films(), sent, strict=True)
        )
        await asyncio.gather(*rows)

    async def raw(self, film: bytes) -> RawFilm:
        """Return the film's own values before any window.

        Raises:
            RadiographError: The film can't be used.
        """
        with self.metrics.stage("encode", NO_MODEL):
            return await self._read(raw_film, film, self._limits)

    async def picture(self, film: bytes, side: int | None = None) -> bytes:
        """Return the film's own pixels as a grey PNG; see `grey_png`.

        Raises:
            RadiographError: The film can't be used.
        """
        with self.metrics.stage("encode", NO_MODEL):
            return await self._read(grey_png, film, side, self._limits)

    async def painted(self, film: bytes, paint: Paint) -> bytes:
        """Return the film with heat painted over it, as a PNG.

        Raises:
            RadiographError: The film can't be used.
        """
        with self.metrics.stage("encode", NO_MODEL):
            return await self._read(painted_png, film, paint, self._limits)

    async def result_files(
        self, film: bytes, prediction: ExplainedPrediction, class_name: str
    ) -> list[bytes]:
        """Return the answer about a DICOM film as DICOM files: report, map and overlay.

        Raises:
            NoSourceInstance: They can't refer to the film.
            RadiographError: The film can't be used.
        """
        with self.metrics.stage("encode", NO_MODEL):
            return await self._read(result_files, film, prediction, class_name, self._limits)

    async def _read(
        self, work: Callable[Concatenate[bytes, P], T], film: bytes, *args: P.args, **_: P.kwargs
    ) -> T:
        if not is_dicom(film):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._readers, work, film, *args)
        for _attempt in range(2):  # the system may have killed the process to free memory
            try:
                return await self._decoders.run(work, film, *args)
            except DecoderEndedError:
                continue
        raise UnreadableFilmError("The DICOM file's decoder crashed on it.")

    async def reload(self, name: str) -> Explainer:
        """Read a model's file again; see `Registry.reload`. It ends even if nobody waits for it."""
        return await asyncio.shield(self._change(self.registry.reload, name))

    def refresh(self) -> asyncio.Future[None]:
        """Take up new and changed model files; see `Registry.refresh`."""
        return self._change(self.registry.refresh)

    def _change(self, work: Callable[P, T], *args: P.args, **_: P.kwargs) -> asyncio.Future[T]:
        """Replace models, then let go of the queues of those that went, and so of their memory."""
        changed = asyncio.get_running_loop().run_in_executor(self._loader, work, *args)
        changed.add_done_callback(lambda _: self._keep_offered())
        return changed

    def _keep_offered(self) -> None:
        offered = set(self.registry.explainers.values())
        self._batchers = {one: b for one, b in self._batchers.items() if one in offered}

    def _batcher(self, explainer: Explainer) -> Batcher:
        if explainer in self._batchers:
            return self._batchers[explainer]
        batcher = Batcher(
            explainer,
            executor=self._runners,
            runs=self.at_once + 1,  # one is ready for the next free thread
            metrics=self.metrics,
            max_size=self.settings.max_batch_size,
            delay_seconds=self.settings.max_batch_delay_seconds,
        )
        # A request may have begun with a model that was replaced meanwhile: none waits behind it.
        if explainer in self.registry.explainers.values():
            self._batchers[explainer] = batcher
        return batcher


def _write_row(
    audit: AuditTrail,
    caller: Caller,
    explainer: Explainer | Ensemble,
    answer: Answers,
    film: bytes,
    mask: PixelBox | None,
) -> None:
    digest = hashlib.sha256(film).hexdigest()
    about = caller._asdict() | {"film_sha256": digest, "mask": mask}
    audit.write(audit_row(explainer, answer, **about))
