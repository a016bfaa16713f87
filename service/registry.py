"""The models that can be asked: opened, checked, exchanged for newer ones, let go of."""

import logging
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from service.problems import ReloadRefused, UnknownModel, UnsoundModel
from service.settings import OWN_MODELS, Settings
from xai.explainer import Explainer

ALL = "all"
"""What a client writes to ask every model, and an operator to preload every one."""

log = logging.getLogger(__name__)


class Registry(Mapping[str, Explainer]):
    """Models by name, theirs before ours, each group in alphabetical order.

    The default and the preloaded models are loaded when the server starts, every other when it is
    first asked: a large one takes seconds, and memory that a server nobody asks for it need not
    have. Where memory has a limit, whichever was asked longest ago is let go of.

    Attributes:
        default_model: Name of the one that answers when none is asked for.
    """

    default_model: str

    def __init__(self, settings: Settings) -> None:
        """Read every model's card and load those that must be ready.

        Raises:
            OSError: A model can't be read.
            ValueError: There is no model, two in one folder have one name, one has no valid card,
                a model that the settings name is not among them, or one to be ready is unsound.
        """
        self._settings = settings
        self._changing = threading.Lock()
        self._explainers = open_explainers(settings)
        self.default_model = settings.default_model or next(iter(self._explainers))
        self._check_names()
        self._kept = self._names_kept()
        for name in self._kept:
            self._explainers[name].load()

    def __getitem__(self, name: str) -> Explainer:
        """Return a model.

        Raises:
            UnknownModel: There is none of that name.
        """
        if name not in self._explainers:
            raise UnknownModel(f"The models here are {', '.join(self._explainers)}.")
        return self._explainers[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._explainers)

    def __len__(self) -> int:
        """Return how many models there are."""
        return len(self._explainers)

    def load(self, explainer: Explainer) -> None:
        """Load a model and make room for it; it has been asked just now.

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
        self._make_room(for_the_sake_of=explainer)

    def reload(self, name: str) -> Explainer:
        """Return the model now in a model's file, which takes its place once it is sound.

        Requests that have begun end with the model they began with.

        Raises:
            UnknownModel: There is none of that name.
            ReloadRefused: The file holds no sound model of that name. The old one stays.
        """
        old = self[name]
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
            self._explainers[name] = new
        return new

    def refresh(self) -> None:
        """Reload every model whose file changed, take up new files, let go of those that are gone.

        What is wrong with a file is logged; the model that was there before stays.
        """
        try:
            found = open_explainers(self._settings)
        except (ValueError, OSError) as error:
            log.error("no model reloaded: %s", error)
            return
        for name in self._kept:
            if name not in found:
                log.error("%s stays, though its file is gone: it must be ready", name)
                found[name] = self._explainers[name]
        for name, new in found.items():
            old = self._explainers.get(name)
            if old is not None and old.sha256 == new.sha256:
                found[name] = old
            elif name in self._kept or (old and old.is_loaded):
                try:
                    new.load()
                except (ValueError, OSError) as error:
                    log.error("%s not reloaded: %s", name, error)
                    found[name] = old or new
        with self._changing:
            self._explainers = found
        log.info("models: %s", ", ".join(found))

    def _make_room(self, *, for_the_sake_of: Explainer) -> None:
        """Let go of what was asked longest ago until the rest fits."""
        limit = self._settings.model_memory_bytes
        with self._changing:
            loaded = [one for one in self._explainers.values() if one.is_loaded]
            spare = [
                one
                for one in loaded
                if one is not for_the_sake_of and one.card.name not in self._kept
            ]
            spare.sort(key=lambda one: one.last_run)
            taken = sum(one.memory_bytes for one in loaded)
            while limit is not None and taken > limit and spare:
                taken -= spare[0].memory_bytes
                log.info("%s makes room", spare[0].card.name)
                spare.pop(0).unload()

    def _names_kept(self) -> tuple[str, ...]:
        preload = self._settings.preload
        names = tuple(self._explainers) if ALL in preload else preload
        return tuple(dict.fromkeys((self.default_model, *names)))

    def _check_names(self) -> None:
        if ALL in self._explainers:
            raise ValueError(f"no model may be called {ALL!r}: it stands for all of them")
        wanted = {"default_model": (self.default_model,), "preload": self._settings.preload}
        for setting, names in wanted.items():
            for name in names:
                if name != ALL and name not in self._explainers:
                    raise ValueError(
                        f"{setting} must be one of {list(self._explainers)}, not {name!r}"
                    )


def open_explainers(settings: Settings) -> dict[str, Explainer]:
    """Return the models of the settings by name, theirs before ours; none is loaded yet."""
    theirs = _opened(settings.models, settings) if settings.models else {}
    ours = _opened(OWN_MODELS, settings) if settings.own_models else {}
    return theirs | {name: ours[name] for name in ours if name not in theirs}


def open_model(file: Path, settings: Settings) -> Explainer:
    """Return a model whose card is read, and which loads when it is first asked.

    Raises:
        OSError: It can't be read.
        ValueError: It holds no valid card.
    """
    return Explainer(file, threads=settings.threads, lazy=True)


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
