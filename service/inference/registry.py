"""Open, check, reload and unload the models that can be asked."""

import logging
import threading
from collections.abc import Mapping
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
    recently used model is unloaded.

    Attributes:
        explainers: The models, their cards read; another mapping after each change.
        default_model: Name of the one that answers when none is asked for.
    """

    explainers: Mapping[str, Explainer]
    default_model: str
    _ensemble: tuple[Mapping[str, Explainer], Ensemble | None]

    def __init__(self, settings: Settings) -> None:
        """Read every model's card and load those that must be ready.

        Raises:
            OSError: A model can't be read.
            ValueError: There is no model, two in one folder have one name, one has no valid card,
                a model that the settings name is not among them, or one to be ready is unsound.
        """
        self._settings = settings
        self._changing = threading.Lock()
        self.explainers = open_explainers(settings)
        self._ensemble = (self.explainers, open_ensemble(settings, self.explainers))
        self.default_model = settings.default_model or next(iter(self.explainers))
        self._check_names()
        self._kept = self._names_kept()
        for name in self._kept:
            self.explainers[name].load()

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
        models, ensemble = self._ensemble
        explainers = self.explainers
        if models is not explainers:  # some were reloaded
            ensemble = open_ensemble(self._settings, explainers)
            self._ensemble = (explainers, ensemble)
        return ensemble

    def load(self, explainer: Explainer) -> None:
        """Load a model that a request asks, and unload others if memory is short.

        Raises:
            UnsoundModel: It fails its checks.
        """
        try:
            explainer.load()
        except (ValueError, OSError) as error:
            log.error("%s", error)
            raise UnsoundModel(
                f"The model {explainer.card.name} fails its checks; the server's log says how."
            ) from error
        self._unload_others(explainer)

    def reload(self, name: str) -> Explainer:
        """Read a model's file again, and replace the model once the new one is sound.

        Requests that have begun end with the model they began with.

        Raises:
            UnknownModel: There is none of that name.
            ReloadRefused: The file holds no sound model of that name. The old one stays.
        """
        old = self.explainer(name)
        try:
            new = open_model(old.file, self._settings)
            if old.is_loaded:
                new.load()
            if new.card.name != name:
                raise ValueError(f"model {old.file.name}: it calls itself {new.card.name}")
        except (ValueError, OSError) as error:
            log.error("%s not reloaded: %s", name, error)
            raise ReloadRefused(
                f"The file of {name} holds no sound model of that name; the server's log says "
                "how. The one that was loaded goes on answering."
            ) from error
        with self._changing:
            self.explainers = {**self.explainers, name: new}
        return new

    def refresh(self) -> None:
        """Reload models whose files changed, add new files, drop models whose files are gone.

        A fault of a file is logged; the model that was there before stays.
        """
        try:
            found = open_explainers(self._settings)
        except (ValueError, OSError) as error:
            log.error("no model reloaded: %s", error)
            return
        models = {name: self._newer(name, new) for name, new in found.items()}
        for name in self._kept:
            if name not in models:
                log.error("%s stays, though its file is gone: it must be ready", name)
                models[name] = self.explainers[name]
        with self._changing:
            self.explainers = models
        log.info("models: %s", ", ".join(models))

    def _newer(self, name: str, new: Explainer) -> Explainer:
        """Return a file's new model, loaded if the old one was; the old one if it stays."""
        old = self.explainers.get(name, new)
        if old.sha256 == new.sha256:
            return old
        try:
            if old.is_loaded:
                new.load()
        except (ValueError, OSError) as error:
            log.error("%s not reloaded: %s", name, error)
            return old
        return new

    def _unload_others(self, needed: Explainer) -> None:
        """Unload the least recently used models until the rest fits into the memory allowed."""
        limit = self._settings.model_memory_bytes
        if limit is None:
            return
        with self._changing:
            loaded = [one for one in self.explainers.values() if one.is_loaded]
            taken = sum(one.memory_bytes for one in loaded)
            for one in sorted(loaded, key=lambda one: one.last_run):
                may_go = one is not needed and one.card.name not in self._kept
                if taken > limit and may_go:
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


def open_explainers(settings: Settings) -> dict[str, Explainer]:
    """Return the models of the settings by name, the operator's first; none is loaded yet.

    Raises:
        OSError: A model can't be read.
        ValueError: There is none, two in one folder have one name, one is called `all`, or one has
            no valid card.
    """
    given = _opened(settings.models, settings) if settings.models else {}
    own = _opened(OWN_MODELS, settings) if settings.own_models else {}
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


def open_model(file: Path, settings: Settings) -> Explainer:
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


def _opened(models: Path, settings: Settings) -> dict[str, Explainer]:
    """Return the models at a path by name, in alphabetical order."""
    opened = [open_model(file, settings) for file in model_files(models)]
    explainers = {explainer.card.name: explainer for explainer in opened}
    if len(explainers) < len(opened):
        names = sorted(explainer.card.name for explainer in opened)
        raise ValueError(f"models must have different names in their cards, not {names}")
    return dict(sorted(explainers.items()))
