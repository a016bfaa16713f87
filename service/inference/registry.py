"""Open, check, reload and unload the models that can be asked."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from service.problems import ReloadRefused, UnknownModel, UnsoundModel
from service.settings import OWN_MODELS, Settings
from xai.ensemble import FILE_NAME, Ensemble
from xai.ensemble_card import ENSEMBLE
from xai.explainer import Explainer

ALL = "all"
"""Stands for every model, in a client's request and in the setting `preload`."""

log = logging.getLogger(__name__)


class Registry:
    """The models by name: the operator's before those in the package, each in alphabetical order.

    The default and the preloaded models are loaded when the server starts, every other when it is
    first asked: a large one takes seconds to load, and memory. Where memory has a limit, the least
    recently used models are unloaded before. One model is loaded at a time, since that takes more
    memory than the model does afterwards; and one reload or refresh runs at a time.

    Attributes:
        explainers: The models, their cards read; another mapping after each change.
        default_model: Name of the one that answers when none is asked for.
    """

    explainers: Mapping[str, Explainer]
    default_model: str
    _ensemble: Ensemble | None

    def __init__(self, settings: Settings) -> None:
        """Read every model's card and load those that must be ready.

        Raises:
            OSError: A model can't be read.
            ValueError: There is no model, two in one folder have one name, one has no valid card,
                a model that the settings name is not among them, or one to be ready is unsound.
        """
        self._settings = settings
        self._changing, self._one_loads = threading.Lock(), threading.Lock()
        self._offer(open_explainers(settings, self._loading))
        self.default_model = settings.default_model or next(iter(self.explainers))
        self._check_names()
        self._kept = self._names_kept()
        # The largest first: while it loads, it takes more than afterwards.
        kept = [self.explainers[name] for name in self._kept]
        for explainer in sorted(kept, key=lambda one: -one.memory_bytes):
            explainer.load()

    def explainer(self, name: str | None = None) -> Explainer:
        """Return a model by name, or the default one.

        Raises:
            UnknownModel: There is none of that name, or it is the ensemble's.
        """
        name = self.default_model if name is None else name
        if name == ENSEMBLE and self.ensemble():
            raise UnknownModel(
                "The ensemble is no model with tensors and a card of its own. /v1/models describes "
                f"it, and its answers are those of /v1/predict?model={ENSEMBLE}."
            )
        if name not in self.explainers:
            raise UnknownModel(f"The models here are {', '.join(self.explainers)}.")
        return self.explainers[name]

    def ensemble(self) -> Ensemble | None:
        """Return the ensemble of the models; None if no file beside them is of just these files."""
        return self._ensemble

    def load(self, explainer: Explainer) -> None:
        """Load a model that a request asks, after others have made room for it.

        Raises:
            UnsoundModel: It fails its checks, or failed them before: then it is not tried again.
        """
        self.check_sound(explainer)
        try:
            explainer.load()
        except (ValueError, OSError) as error:
            log.error("%s", error)
            raise _unsound(explainer) from error

    def check_sound(self, explainer: Explainer) -> None:
        """Raise UnsoundModel if a model failed its checks when it was last loaded."""
        if explainer.fault:
            raise _unsound(explainer)

    def reload(self, name: str) -> Explainer:
        """Read a model's file again, and replace the model if it is another and sound.

        Requests that have begun end with the model they began with. A model that failed its checks
        is tried again.

        Raises:
            UnknownModel: There is none of that name.
            ReloadRefused: The file holds no sound model of that name. The old one stays.
        """
        with self._changing:
            old = self.explainer(name)
            try:
                new = self._newer(old, open_model(old.file, self._settings, self._loading))
                if new.card.name != name:
                    raise ValueError(f"model {old.file.name}: it calls itself {new.card.name}")
            except (ValueError, OSError) as error:
                log.error("%s not reloaded: %s", name, error)
                stays = "" if old.fault else " The one there was goes on answering."
                raise ReloadRefused(
                    f"The file of {name} holds no sound model of that name; the server's log says "
                    f"how.{stays}"
                ) from error
            if new is not old:
                self._offer({**self.explainers, name: new})
            return new

    def refresh(self) -> None:
        """Reload models whose files changed, add new files, drop models whose files are gone.

        A fault of a file is logged; the model that was there before stays.
        """
        with self._changing:
            try:
                found = open_explainers(self._settings, self._loading)
            except (ValueError, OSError) as error:
                log.error("no model reloaded: %s", error)
                return
            models = {name: self._newer_or_old(name, new) for name, new in found.items()}
            for name in self._kept:
                if name not in models:
                    log.error("%s stays, though its file is gone: it must be ready", name)
                    models[name] = self.explainers[name]
            self._offer(models)
            log.info("models: %s", ", ".join(models))

    def _newer_or_old(self, name: str, new: Explainer) -> Explainer:
        old = self.explainers.get(name, new)
        try:
            return self._newer(old, new)
        except (ValueError, OSError) as error:
            log.error("%s not reloaded: %s", name, error)
            return old

    def _newer(self, old: Explainer, new: Explainer) -> Explainer:
        """Return the old model if the file is the same and it is sound; else the new one.

        The new one is loaded if the old one was, or failed its checks.

        Raises:
            OSError, ValueError: It can't be loaded, or fails its checks.
        """
        if new.sha256 == old.sha256 and not old.fault:
            return old
        if old.is_loaded or old.fault:
            new.load()
        return new

    def _offer(self, models: Mapping[str, Explainer]) -> None:
        """Offer these models from now on, and their ensemble."""
        self.explainers, self._ensemble = models, open_ensemble(self._settings, models)

    @contextmanager
    def _loading(self, explainer: Explainer) -> Iterator[None]:
        """Let one model load at a time, when others have made room for it."""
        with self._one_loads:
            if not explainer.is_loaded and not explainer.fault:
                self._make_room(explainer)
            yield
            self._make_room(explainer)  # it may take more than was known

    def _make_room(self, needed: Explainer) -> None:
        """Unload the least recently used models until one more fits into the memory allowed."""
        limit = self._settings.model_memory_bytes
        if limit is None:
            return
        others = [one for one in self.explainers.values() if one.is_loaded and one is not needed]
        taken = needed.memory_bytes + sum(one.memory_bytes for one in others)
        for one in sorted(others, key=lambda one: one.last_run):
            if taken > limit and one.card.name not in self._kept:
                taken -= one.memory_bytes
                log.info("%s makes room", one.card.name)
                one.unload()

    def _names_kept(self) -> tuple[str, ...]:
        preload = self._settings.preload
        names = tuple(self.explainers) if ALL in preload else preload
        return tuple(dict.fromkeys((self.default_model, *names)))

    def _check_names(self) -> None:
        wanted = {"default_model": (self.default_model,), "preload": self._settings.preload}
        for setting, names in wanted.items():
            for name in names:
                if name != ALL and name not in self.explainers:
                    raise ValueError(
                        f"{setting} must be one of {list(self.explainers)}, not {name!r}"
                    )


Loading = Callable[[Explainer], AbstractContextManager[None]]


def open_explainers(settings: Settings, loading: Loading | None = None) -> dict[str, Explainer]:
    """Return the models of the settings by name, the operator's first; none is loaded yet.

    Args:
        settings: Where they are, and what runs them.
        loading: See `Explainer`.

    Raises:
        OSError: A model can't be read.
        ValueError: There is none, two in one folder have one name, one is called `all`, or one has
            no valid card.
    """
    given = _opened(settings.models, settings, loading) if settings.models else {}
    own = _opened(OWN_MODELS, settings, loading) if settings.own_models else {}
    explainers = given | {name: own[name] for name in own if name not in given}
    for name in {ALL, ENSEMBLE} & explainers.keys():
        raise ValueError(f"no model may be called {name!r}: it stands for all of them")
    return explainers


def open_ensemble(settings: Settings, explainers: Mapping[str, Explainer]) -> Ensemble | None:
    """Return the ensemble beside the operator's models, or else beside those of the package.

    One that does not fit the models is left out, and the log says why: they answer without it.
    """
    models = settings.models
    folders = [] if models is None else [models if models.is_dir() else models.parent]
    folders += [OWN_MODELS] if settings.own_models else []
    file = next((one / FILE_NAME for one in folders if (one / FILE_NAME).is_file()), None)
    if file is None:
        return None
    try:
        return Ensemble(file, explainers)
    except (ValueError, OSError) as error:
        log.error("%s", error)
        return None


def open_model(file: Path, settings: Settings, loading: Loading | None) -> Explainer:
    """Return a model whose card is read and which loads when it is first asked.

    Raises:
        OSError: It can't be read.
        ValueError: It holds no valid card.
    """
    return Explainer(
        file,
        threads=settings.threads,
        lazy=True,
        provider=settings.provider,
        precision=settings.precision,
        loading=loading,
    )


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


def _unsound(explainer: Explainer) -> UnsoundModel:
    return UnsoundModel(
        f"The model {explainer.card.name} fails its checks; the server's log says how."
    )


def _opened(models: Path, settings: Settings, loading: Loading | None) -> dict[str, Explainer]:
    """Return the models at a path by name, in alphabetical order."""
    opened = [open_model(file, settings, loading) for file in model_files(models)]
    explainers = {explainer.card.name: explainer for explainer in opened}
    if len(explainers) < len(opened):
        names = sorted(explainer.card.name for explainer in opened)
        raise ValueError(f"models must have different names in their cards, not {names}")
    return dict(sorted(explainers.items()))
