"""Train a network as a config says, and write the run folder: `cxr train`."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from models.card import LungFieldSpec, NetworkSpec
from models.checkpoint import save_checkpoint
from models.network import LayeredNetwork
from training.config import Config, read_run_config
from training.data.dataset import FilmDataset
from training.data.manifest import Film, task_of
from training.data.split import training_data
from training.data.whole_file import replacing
from training.fitting.curves_picture import draw_curves
from training.fitting.feature_cache import feature_cache
from training.fitting.loop import TrainingRun
from training.fitting.outline_start import (
    checked_outlined_films,
    outline_datasets,
    starting_lung_field,
)
from training.fitting.run_folder import RunFolder
from training.fitting.start import checked_films, datasets, starting_network
from training.fitting.state import EpochRecord, TrainingState
from training.fitting.tensorboard import event_log
from training.gradient_flow.picture import draw_gradient_flow
from training.step.distributed import Processes

SECONDS_BETWEEN_PICTURES = 60
"""Drawing takes seconds, which is longer than an epoch of few films."""


def train(config: Config, folder: RunFolder, *, device: str = "cpu") -> None:
    """Train the config's network, or go on where `folder` stopped.

    Raises:
        ValueError: The folder holds a run of another config or of other films, or the data is
            unfit.
    """
    start = _segmentation_start if config.task == "segmentation" else _classification_start
    run, spec = start(config, folder, device)
    processes = run.processes
    pictures = Pictures(folder, config.training.epochs)
    if folder.state.is_file():
        run.state.restore(folder.state)
        if processes.is_first:  # a kill may have come between the state and these
            write_records(folder, run.state)
            pictures.follow(run.state)
        say(f"resuming after epoch {len(run.state.history)} of {config.training.epochs}")
    log = config.training.log if processes.is_first else "none"
    with event_log(log, folder.events, from_step=run.steps_done) as run.log:
        for record in run.epochs():
            if processes.is_first:
                _save(folder, run.state, spec)
                pictures.follow(run.state)
            say(_sentence(record))


def _classification_start(
    config: Config, folder: RunFolder, device: str
) -> tuple[TrainingRun, NetworkSpec]:
    """Return a classifier's run before its first step, or before its folder's state is restored."""
    films = checked_films(config)
    _claim(folder, config, films)
    train_films, val_films, names = datasets(config, films)
    network, spec = starting_network(config, train_films, names, task=task_of(films))
    return training_run(config, folder, network.to(device), train_films, val_films), spec


def _segmentation_start(
    config: Config, folder: RunFolder, device: str
) -> tuple[TrainingRun, LungFieldSpec]:
    """Return the same of a lung field."""
    films = checked_outlined_films(config)
    _claim(folder, config, films)
    train_films, val_films = outline_datasets(config, films)
    network, spec = starting_lung_field(config)
    return TrainingRun(network.to(device), config.training, train_films, val_films), spec


def _claim(folder: RunFolder, config: Config, films: Sequence[Film]) -> None:
    """Write config and data into a new run folder; refuse one that holds another run."""
    if not Processes.current().is_first:
        return
    data = training_data(films, config)
    folder.path.mkdir(parents=True, exist_ok=True)
    text = data.model_dump_json(indent=2)
    holds_other = {
        folder.config: folder.config.is_file() and read_run_config(folder.config) != config,
        folder.data: folder.data.is_file() and folder.data.read_text() != text,
    }
    for file, is_other in holds_other.items():
        if is_other:
            raise ValueError(
                f"run folder {folder.path} holds a run with another {file.name}; "
                f"choose another with --run, or remove it"
            )
    folder.config.write_text(config.model_dump_json(indent=2))
    folder.data.write_text(text)


def training_run(
    config: Config, folder: RunFolder, network: LayeredNetwork, train: FilmDataset, val: FilmDataset
) -> TrainingRun:
    """Return the training run, on films or on their cached features."""
    training, confounded = config.training, config.data.confounded_origins
    wanted = training.feature_cache
    if wanted is None:
        return TrainingRun(network, training, train, val, confounded)
    cache = feature_cache(network, training, wanted.folder or folder.features)
    copies = cache.features(train, copies=wanted.copies)
    return TrainingRun(network, training, copies, cache.features(val, copies=1), confounded)


def _save(folder: RunFolder, state: TrainingState, spec: NetworkSpec | LungFieldSpec) -> None:
    """Write the results of an epoch."""
    if state.is_best:
        save_checkpoint(folder.best, state.averaged_network, spec)
    state.save(folder.state)
    write_records(folder, state)


def write_records(folder: RunFolder, state: TrainingState) -> None:
    """Write the figures of all epochs, and the gradient flow of the steps that were sampled."""
    with replacing(folder.metrics) as unfinished:
        unfinished.write_text("".join(json.dumps(record) + "\n" for record in state.history))
    flow = state.gradient_flow.records
    if flow:
        folder.gradient_flow.write_text("".join(one.model_dump_json() + "\n" for one in flow))


@dataclass
class Pictures:
    """The pictures of a run, drawn when it ends, and at most once a minute before.

    Attributes:
        folder: Where they are.
        epochs: How many the run has.
        drawn: When they were last drawn, or else begun, in seconds of the monotonic clock.
    """

    folder: RunFolder
    epochs: int
    drawn: float = field(default_factory=time.monotonic)

    def follow(self, state: TrainingState) -> None:
        """Draw the curves and the gradient flow after an epoch, if it is time."""
        is_running = len(state.history) < self.epochs
        if is_running and time.monotonic() < self.drawn + SECONDS_BETWEEN_PICTURES:
            return
        draw_curves(state.history, self.folder.curves)
        if state.gradient_flow.records:
            draw_gradient_flow(state.gradient_flow.records, self.folder.gradient_flow_plot)
        self.drawn = time.monotonic()


def _sentence(record: EpochRecord) -> str:
    scores = {
        "macro AUROC": ("val_macro_auroc", ".4f"),
        "balanced accuracy": ("val_balanced_accuracy", ".3f"),
        "Dice": ("val_dice", ".4f"),
    }
    measured = [
        f"{label} {record[name]:{digits}}"
        for label, (name, digits) in scores.items()
        if name in record  # multi-label films have no predicted class, outlines no AUROC
    ]
    return (
        f"epoch {record['epoch'] + 1:3.0f}: train loss {record['train_loss']:.3f}, "
        f"val loss {record['val_loss']:.3f}, {', '.join(measured)}"
    )


def say(sentence: str) -> None:
    """Print a sentence, once for all processes that train together."""
    if Processes.current().is_first:
        sys.stdout.write(sentence + "\n")
        sys.stdout.flush()
