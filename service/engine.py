"""The models that can be asked, and the threads that work on films off the event loop."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from models.radiograph import read_radiograph
from service.examination import Examination, examine, grey_png
from service.problems import UnknownModel, UnsoundModel
from service.settings import OWN_MODELS, Settings
from xai.explainer import Answers, Explainer, Floats, available_cpus

T = TypeVar("T")


class Engine:
    """Models by name, and a bounded number of films worked on at the same time.

    The default model is loaded before the server is ready, every other when it is first asked: a
    large one takes seconds, and memory that a server nobody asks for it need not have.

    Attributes:
        explainers: Models by name, their cards read.
        default_model: Name of the one that answers when none is asked for.
        max_upload_bytes: Longest request body.
    """

    def __init__(self, explainers: Mapping[str, Explainer], settings: Settings) -> None:
        self.explainers = explainers
        self.default_model = _default_model(explainers, settings)
        self.max_upload_bytes = settings.max_upload_bytes
        self._limits = {
            "max_bytes": settings.max_upload_bytes,
            "max_pixels": settings.max_film_pixels,
        }
        self._films_at_once = CapacityLimiter(settings.concurrency or available_cpus())

    def explainer(self, name: str | None = None) -> Explainer:
        """Return a model by name, or the default one.

        Raises:
            UnknownModel: There is none of that name.
        """
        name = self.default_model if name is None else name
        if name not in self.explainers:
            raise UnknownModel(f"The models here are {', '.join(self.explainers)}.")
        return self.explainers[name]

    async def answer(
        self, explainer: Explainer, film: bytes, said: Callable[[Examination], T]
    ) -> T:
        """Return what is `said` of the examined film; both happen off the event loop.

        Raises:
            RadiographError: The film can't be used.
            UnsoundModel: The model was not loaded yet, and fails its checks.
            ServiceProblem: What `said` raises.
        """
        if not explainer.is_loaded:
            # Not one of the films at once, or whoever asks another model would wait as well.
            await to_thread.run_sync(_load, explainer)
        return await self._off_the_loop(lambda: said(examine(explainer, film, **self._limits)))

    async def infer(self, explainer: Explainer, pixels: Floats) -> Answers:
        """Return the answers of a model for network pixels [batch, 1, rows, columns].

        Raises:
            UnsoundModel: The model was not loaded yet, and fails its checks.
        """
        if not explainer.is_loaded:
            await to_thread.run_sync(_load, explainer)
        return await self._off_the_loop(lambda: explainer(pixels))

    async def picture(self, film: bytes) -> bytes:
        """Return the film's own pixels as a grey PNG.

        Raises:
            RadiographError: The film can't be used.
        """
        return await self._off_the_loop(lambda: grey_png(read_radiograph(film, **self._limits)))

    async def _off_the_loop(self, work: Callable[[], T]) -> T:
        return await to_thread.run_sync(work, limiter=self._films_at_once)


def open_engine(settings: Settings) -> Engine:
    """Return an engine whose default model is loaded, checked against its card, and warm.

    Raises:
        OSError: A model can't be read.
        ValueError: There is no model, two have one name, one has no valid card, the default model
            is not among them, or fails its checks.
    """
    engine = Engine(open_explainers(settings), settings)
    engine.explainer().load()
    return engine


def open_explainers(settings: Settings) -> dict[str, Explainer]:
    """Return the models of the settings by name, theirs before ours; none is loaded yet."""
    theirs = _opened(settings.models, settings) if settings.models else {}
    ours = _opened(OWN_MODELS, settings) if settings.own_models else {}
    return theirs | {name: ours[name] for name in ours if name not in theirs}


def _opened(models: Path, settings: Settings) -> dict[str, Explainer]:
    """Return the models at a path by name, in alphabetical order."""
    opened = [Explainer(path, threads=settings.threads, lazy=True) for path in model_files(models)]
    explainers = {explainer.card.name: explainer for explainer in opened}
    if len(explainers) < len(opened):
        names = sorted(explainer.card.name for explainer in opened)
        raise ValueError(f"models must have different names in their cards, not {names}")
    return dict(sorted(explainers.items()))


def model_files(models: Path) -> list[Path]:
    """Return the exported models at a path: the file itself, or each `*.onnx` in the folder.

    Raises:
        ValueError: There is none.
    """
    files = sorted(models.glob("*.onnx")) if models.is_dir() else [models]
    if not files or not files[0].exists():
        raise ValueError(
            f"models must be an ONNX file or a folder with one, not {models}; "
            "`cxr export` writes one"
        )
    return files


def _load(explainer: Explainer) -> None:
    try:
        explainer.load()
    except (ValueError, OSError) as error:
        logging.getLogger(__name__).error("%s", error)
        raise UnsoundModel(
            f"The model {explainer.card.name} fails its checks here; the server's log says how."
        ) from error


def _default_model(explainers: Mapping[str, Explainer], settings: Settings) -> str:
    name = settings.default_model or next(iter(explainers))
    if name not in explainers:
        raise ValueError(f"default_model must be one of {list(explainers)}, not {name!r}")
    return name
