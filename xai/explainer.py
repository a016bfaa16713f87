"""Run an exported model: pixels in; logits, probabilities, evidence, distance and novelty out.

It needs ONNX Runtime and no PyTorch. All else about the model is read from the card in the file.
"""

import ctypes
import hashlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from pydantic import ValidationError

from models.card import CARD_KEY, ModelCard, Refusal
from xai.heatmap import Status, explanation_status
from xai.measures.over_lungs import over_lungs
from xai.runtime.execution import Precision, Provider, check_execution, open_session, read_metadata
from xai.runtime.golden import check_golden
from xai.runtime.processors import available_cpus

Floats = NDArray[np.float32]

CHECKED_BATCHES = (1, 4)
"""Batch sizes with which providers other than the CPU's are checked: their code depends on it."""


@dataclass(frozen=True)
class Answers:
    """A model's outputs for one batch of films.

    Attributes:
        logits: [batch, classes], unbounded.
        probabilities: [batch, classes] in [0, 1], calibrated.
        evidence: [batch, classes, grid rows, grid columns], signed, in logits per position; by the
            card's method `legrad` in logits per attention, at least 0.
        distance: [batch], distance from the training films, at least 0.
        novelty: [batch], how unlike the training films' the film's acquisition is, at least 0; None
            of a file that was exported before it was.
        lungs: [batch, mask rows, mask columns] in [0, 1], how surely each cell of the whole input
            is lung; None of a model that sees the whole film.
        region: [batch, 4], top, left, bottom, right of the part of the input that the evidence lies
            on, as shares of it; None likewise.
        lung_figures: [batch, 3], area, balance and stray, by which lungs that are not plausible are
            told; None likewise.
        group_evidence: [batch, groups, grid rows, grid columns], as `evidence`, but of each group's
            log-odds; None of a model without groups.
    """

    logits: Floats
    probabilities: Floats
    evidence: Floats
    distance: Floats
    novelty: Floats | None = None
    lungs: Floats | None = None
    region: Floats | None = None
    lung_figures: Floats | None = None
    group_evidence: Floats | None = None

    @classmethod
    def joined(cls, batches: Sequence["Answers"]) -> "Answers":
        """Return the answers for several batches of one model, joined into one."""
        if len(batches) == 1:
            return batches[0]
        names, kind = batches[0].outputs(), type(batches[0])
        return kind(**{n: np.concatenate([one.outputs()[n] for one in batches]) for n in names})

    def films(self) -> Iterator["Answers"]:
        """Yield the answers of each film, as a batch of one."""
        for place in range(len(self.distance)):
            one = slice(place, place + 1)
            yield type(self)(**{name: output[one] for name, output in self.outputs().items()})

    def region_of(self, film: int) -> tuple[float, ...] | None:
        """Return the region that a film's evidence lies on; None where it is the whole input."""
        return None if self.region is None else tuple(self.region[film].tolist())

    @property
    def all_evidence(self) -> Floats:
        """The evidence for every class, then for every group of classes."""
        if self.group_evidence is None:
            return self.evidence
        return np.concatenate([self.evidence, self.group_evidence], axis=1)

    def all_probabilities(self, card: ModelCard) -> Floats:
        """Return the probability of every class, then of every group: the sum over its classes."""
        of_groups = group_probabilities(self.probabilities, card)
        return np.concatenate([self.probabilities, of_groups], axis=1).astype(np.float32)

    def group_log_odds(self, card: ModelCard) -> Floats:
        """Return each group's log-odds, [batch, groups], from the logits: finite near 0 and 1 too.

        The log-sum-exp of logits / temperature over the group, minus that over the other classes.
        """
        scaled, is_member = self.logits[:, None] / card.temperature, _is_member(card)
        inside = np.where(is_member, scaled, -np.inf)
        outside = np.where(is_member, -np.inf, scaled)
        return np.logaddexp.reduce(inside, axis=2) - np.logaddexp.reduce(outside, axis=2)

    def over_lungs(self, card: ModelCard) -> Floats:
        """Return all evidence, with NaN outside the lungs of a model that looks only there."""
        evidence = self.all_evidence
        if self.lungs is None or self.region is None:
            return evidence
        films = zip(evidence, self.lungs, self.region.tolist(), strict=True)
        return np.stack([over_lungs(maps, lungs, region, card) for maps, lungs, region in films])

    def figures_of(self, film: int) -> tuple[float, ...] | None:
        """Return the figures of a film's lungs; None of a model that sees the whole film."""
        return None if self.lung_figures is None else tuple(self.lung_figures[film].tolist())

    def novelty_of(self, film: int) -> float | None:
        """Return a film's novelty; None of a file without that output."""
        return None if self.novelty is None else float(self.novelty[film])

    def refusals(self, card: ModelCard) -> list[tuple[Refusal, ...]]:
        """Return for each film why it is refused; see `ModelCard.refusals`."""
        return [tuple(reasons) for reasons in self.reasons(card)]

    def reasons(self, card: ModelCard) -> list[dict[Refusal, str]]:
        """Return the same with a sentence for each reason; see `ModelCard.reasons`."""
        distances = enumerate(self.distance.tolist())
        return [
            card.reasons(distance, self.figures_of(film), self.novelty_of(film))
            for film, distance in distances
        ]

    def map_statuses(self, card: ModelCard, *, force: bool) -> list[list[Status]]:
        """Return for each film the status of the map of every class, then of every group.

        Args:
            card: The model's.
            force: The maps of a refused film are asked for all the same.
        """
        probabilities = self.all_probabilities(card).tolist()
        films = zip(self.all_evidence, probabilities, self.refusals(card), strict=True)
        return [
            [
                explanation_status(
                    evidence, is_possible=is_possible, in_distribution=not refusals, force=force
                )
                for evidence, is_possible in zip(maps, card.is_possible(values), strict=True)
            ]
            for maps, values, refusals in films
        ]

    def outputs(self) -> dict[str, Floats]:
        """Return the outputs that the model has, by name."""
        return {name: output for name, output in vars(self).items() if output is not None}


OUTPUTS = ("logits", "probabilities", "evidence", "distance")
"""What every exported graph answers with."""
NOVELTY_OUTPUT = ("novelty",)
MOST_NOVEL = 1e6
"""Novelty of a film of one grey, for which files exported before 2 December 2026 give no number."""
"""What those answer with besides that were exported since it was."""
LUNG_OUTPUTS = ("lungs", "region", "lung_figures")
"""What those answer with besides that see only the lungs."""
GROUP_OUTPUTS = ("group_evidence",)
"""What those answer with besides, last, that have groups of classes."""


def group_probabilities(
    probabilities: NDArray[np.floating[Any]], card: ModelCard
) -> NDArray[np.floating[Any]]:
    """Return the probability of each group, [films, groups]: the sum over its classes.

    It is at most 1, which a sum of rounded numbers may exceed.
    """
    of_groups = probabilities @ _is_member(card).T.astype(probabilities.dtype)
    return np.minimum(of_groups, np.ones_like(of_groups))


def _is_member(card: ModelCard) -> NDArray[np.bool_]:
    shape = (len(card.groups), len(card.class_names))
    return np.array(card.is_member, bool).reshape(shape)


class Explainer:
    """An exported model, loaded and checked against its own card.

    Several threads may call one explainer at once.

    Attributes:
        card: Model card in the file.
        sha256: Hash of the file, as hexadecimal digits.
        file: Path of the file.
        memory_bytes: Estimate of its memory: how much the process grew when it was last loaded, and
            before that the size of the file.
        fault: Why it failed its checks; None if it did not, or was not loaded yet. It is not tried
            again.
        last_run: Time of its last run, in seconds of the monotonic clock; 0 before.
        provider: Execution provider that runs it.
    """

    card: ModelCard
    sha256: str
    file: Path
    memory_bytes: int
    fault: str | None = None
    last_run: float
    provider: Provider

    def __init__(
        self,
        model: Path,
        *,
        threads: int | None = None,
        lazy: bool = False,
        provider: Provider = "cpu",
        precision: Precision = "float32",
        loading: Callable[["Explainer"], AbstractContextManager[object]] | None = None,
    ) -> None:
        """Open an exported model, and check that it reproduces its golden answer.

        Args:
            model: ONNX file with a card.
            threads: CPU threads of one run; None is as many as this process may use.
            lazy: Read the card only, and leave the rest to `load`.
            provider: Execution provider; there is no fallback to another.
            precision: Number format of the arithmetic; `bfloat16` needs OpenVINO.
            loading: Returns what is entered to load the graph; None is a lock of its own.

        Raises:
            OSError: The file can't be read.
            ValueError: It is not an ONNX file, has no valid card, its graph is not the one that
                the card describes, the provider can't run it, or it does not reproduce the golden
                outputs of the card.
        """
        check_execution(provider, precision)
        self.file, self._threads = model, threads or available_cpus()
        self.provider, self._precision = provider, precision
        self.memory_bytes, self.last_run = model.stat().st_size, 0.0
        self._session: onnxruntime.InferenceSession | None = None
        own_lock = threading.Lock()
        self._loading = loading or (lambda _: own_lock)
        self.sha256 = _sha256(model)
        try:
            self.card = _card(model)
        except ValueError as error:
            raise ValueError(f"model {model.name}: {error}") from error
        if not lazy:
            self.load()

    @property
    def is_loaded(self) -> bool:
        """True if the graph is loaded, so that a run need not wait for it."""
        return self._session is not None

    def load(self) -> None:
        """Load and check the graph, unless it is loaded; a second thread waits for the first.

        Raises:
            OSError: The file can't be read any more.
            ValueError: The file has changed since its card was read, or fails its checks, now or
                when it was last loaded.
        """
        self._loaded_session()

    def unload(self) -> None:
        """Unload the graph; runs in progress finish, and the next run loads it again."""
        self._session = None
        _return_freed_memory()

    def __call__(self, pixels: Floats) -> Answers:
        """Return the answers for network pixels.

        Args:
            pixels: [batch, 1, rows, columns] in [0, 1], of the card's image size.

        Raises:
            ValueError: `pixels` has another shape, or a lazy model fails its checks.
        """
        if pixels.ndim != 4 or pixels.shape[1:] != (1, *self.card.image_size):
            raise ValueError(
                f"pixels must be [batch, 1, {self.card.image_size[0]}, {self.card.image_size[1]}], "
                f"not {list(pixels.shape)}"
            )
        self.last_run = time.monotonic()
        return _answers(self._session or self._loaded_session(), pixels)

    def _loaded_session(self) -> onnxruntime.InferenceSession:
        with self._loading(self):
            if self.fault:
                raise ValueError(self.fault)
            try:
                session = self._session or self._checked_session()
            except ValueError as error:
                self.fault = f"model {self.file.name}: {error}"
                raise ValueError(self.fault) from error
            self._session = session
            return session

    def _checked_session(self) -> onnxruntime.InferenceSession:
        if _sha256(self.file) != self.sha256:
            raise ValueError("the file has changed since its card was read; reload it")
        before = _resident_bytes()
        session = open_session(
            self.file, threads=self._threads, provider=self.provider, precision=self._precision
        )
        _return_freed_memory()
        self.memory_bytes = max(_resident_bytes() - before, self.file.stat().st_size)
        _check_interface(session, self.card)
        self._check_golden(session)
        return session

    def _check_golden(self, session: onnxruntime.InferenceSession) -> None:
        def run(pixels: Floats) -> dict[str, Floats]:
            return _answers(session, pixels).outputs()

        batches = (1,) if self.provider == "cpu" else CHECKED_BATCHES
        check_golden(run, self.card, precision=self._precision, batches=batches)


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _resident_bytes() -> int:
    """Return the resident memory of this process in bytes; 0 on systems other than Linux."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _return_freed_memory() -> None:
    """Return memory to Linux that was used to convert stored weights to float32.

    For vit_b16 stored as int8 it is about 350 MB, which the C library would keep.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
        if trim:
            trim(0)


def _card(model: Path) -> ModelCard:
    """Read the card of a file, without preparing its graph."""
    metadata = read_metadata(model)
    if CARD_KEY not in metadata:
        raise ValueError(f"the file holds no {CARD_KEY}; write it with `cxr export`")
    try:
        return ModelCard.model_validate_json(metadata[CARD_KEY])
    except ValidationError as error:
        raise ValueError(f"the {CARD_KEY} in the file is not valid: {error}") from error


def outputs_of(card: ModelCard) -> tuple[str, ...]:
    """Return the names of the outputs that a model with this card has, in their order."""
    novelty = () if card.golden.novelty is None else NOVELTY_OUTPUT
    of_lungs, of_groups = LUNG_OUTPUTS if card.lungs else (), GROUP_OUTPUTS if card.groups else ()
    return (*OUTPUTS, *novelty, *of_lungs, *of_groups)


def _answers(session: onnxruntime.InferenceSession, pixels: Floats) -> Answers:
    known = (*OUTPUTS, *NOVELTY_OUTPUT, *LUNG_OUTPUTS, *GROUP_OUTPUTS)
    names = [output.name for output in session.get_outputs() if output.name in known]
    found = session.run(names, {"pixels": pixels.astype(np.float32, copy=False)})
    answers = dict(zip(names, found, strict=True))
    if "novelty" in answers:
        answers["novelty"] = np.nan_to_num(answers["novelty"], nan=MOST_NOVEL)
    return Answers(**answers)


def _check_interface(session: onnxruntime.InferenceSession, card: ModelCard) -> None:
    """Raise ValueError unless the graph's inputs and outputs are those of the card."""
    inputs = {node.name: node.shape for node in session.get_inputs()}
    if list(inputs) != ["pixels"]:
        raise ValueError(f"the graph's only input must be `pixels`, not {list(inputs)}")
    wanted = outputs_of(card)
    missing = set(wanted) - {node.name for node in session.get_outputs()}
    if missing:
        raise ValueError(f"the graph lacks the outputs {sorted(missing)}")
    batch, *shape = inputs["pixels"]
    if isinstance(batch, int):
        raise ValueError(f"the graph's batch size must be free, not {batch}")
    if shape != [1, *card.image_size]:
        raise ValueError(
            f"the graph's pixels are {shape}, but the card's image_size is {card.image_size}"
        )
