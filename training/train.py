"""`cxr train`: from a config to a run folder with the best weights."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from models import local_contrast
from models.card import NetworkSpec, Task, TrainingData
from models.checkpoint import save_checkpoint
from models.networks import build, target_layer
from models.pretrained import Pretrained, from_file, from_hub, load_pretrained
from models.seam import Network
from training.augmentation import augmentation
from training.config import STRIDE, Config, NetworkConfig, read_config
from training.curves_picture import draw_curves
from training.dataset import FilmDataset, film_targets
from training.distributed import Processes, process_group
from training.event_log import event_log
from training.feature_cache import feature_cache
from training.film_memory import FilmMemory
from training.gradient_flow_plot import draw_gradient_flow
from training.gradient_sample import FlowRecord
from training.loop import EpochRecord, TrainingRun, save
from training.manifest import Film, class_names, of_split, read_manifest, task_of
from training.split import check_classes, check_split, training_data
from training.styles import Styles
from training.whole_file import replacing


@dataclass(frozen=True)
class RunFolder:
    """Where one run writes: config, data, metrics, curves, best weights, state to resume, card."""

    path: Path

    @property
    def config(self) -> Path:
        """The config as it was understood."""
        return self.path / "config.json"

    @property
    def data(self) -> Path:
        """Hashes and counts of the films it learns from."""
        return self.path / "data.json"

    @property
    def card(self) -> Path:
        """The model card; written by `cxr export`, which alone knows all of it."""
        return self.path / "card.json"

    @property
    def metrics(self) -> Path:
        """One JSON object per epoch."""
        return self.path / "metrics.jsonl"

    @property
    def curves(self) -> Path:
        """The metrics as a picture."""
        return self.path / "curves.png"

    @property
    def gradient_flow(self) -> Path:
        """One JSON object per sampled step."""
        return self.path / "gradient_flow.jsonl"

    @property
    def gradient_flow_plot(self) -> Path:
        """The same as a picture."""
        return self.path / "gradient_flow.png"

    @property
    def best(self) -> Path:
        """Checkpoint folder of the epoch with the largest validation macro AUROC."""
        return self.path / "best"

    @property
    def state(self) -> Path:
        """Network and optimiser after the last epoch."""
        return self.path / "last.pt"

    @property
    def events(self) -> Path:
        """What TensorBoard shows, where it is asked for."""
        return self.path / "events"

    @property
    def features(self) -> Path:
        """Cached features of the films, where they are asked for; may be removed afterwards."""
        return self.path / "features"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cxr train`."""
    add_start_arguments(parser)
    parser.add_argument(
        "--run", type=Path, help="run folder, default artifacts/NAME-VERSION; resumed if it exists"
    )


def add_start_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every command that trains takes."""
    parser.add_argument("config", type=Path, help="TOML file, see training/configs/")
    parser.add_argument("--manifest", type=Path, help="instead of the config's manifest")
    parser.add_argument(
        "--weights",
        type=Path,
        help="safetensors file to start from (timm's or torchvision's names); needs --mean, --std",
    )
    for name, what in (("mean", "subtracts from"), ("std", "divides")):
        parser.add_argument(
            f"--{name}",
            type=float,
            nargs=3,
            metavar=("RED", "GREEN", "BLUE"),
            help=f"what the publisher of the weights {what} the colours in [0, 1]",
        )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")


def run(arguments: argparse.Namespace) -> int:
    """Train, and say where the result lies; exit code 0."""
    config = with_arguments(read_config(arguments.config), arguments)
    folder = RunFolder(arguments.run or Path("artifacts") / f"{config.name}-{config.version}")
    with process_group(arguments.device) as device:
        train(config, folder, device=device)
        _say(f"best weights: {folder.best}; next: cxr export {folder.path}")
    return 0


def with_arguments(config: Config, arguments: argparse.Namespace) -> Config:
    """Return the config with what the command line says instead."""
    given = {name: getattr(arguments, name) for name in ("weights", "mean", "std")}
    network = {name: value for name, value in given.items() if value is not None}
    if network:
        network |= {"pretrained": False}
    data = {"manifest": arguments.manifest} if arguments.manifest else {}
    changed = {
        "network": config.network.model_dump() | network,
        "data": config.data.model_dump() | data,
    }
    return Config.model_validate(config.model_dump() | changed)


def train(config: Config, folder: RunFolder, *, device: str = "cpu") -> None:
    """Train the config's network, or go on where `folder` stopped.

    Raises:
        ValueError: The folder holds a run of another config, or the data is unfit.
    """
    films = checked_films(config)
    processes = Processes.current()
    if processes.is_first:
        _claim(folder, config, training_data(films, config))
    train_films, val_films, names = datasets(config, films)
    network, spec = starting_network(config, train_films, names, task=task_of(films))
    loop = training_run(config, folder, network.to(device), train_films, val_films)
    if folder.state.is_file():
        loop.restore(folder.state)
        if processes.is_first:  # a kill may have come between the state and these
            _write_history(folder, loop.history)
            _write_gradient_flow(folder, loop.gradient_flow.records)
        _say(f"resuming after epoch {len(loop.history)} of {config.training.epochs}")
    log = config.training.log if processes.is_first else "none"
    with event_log(log, folder.events, from_step=loop.steps_done) as loop.log:
        for record in loop.epochs():
            _save(folder, loop, spec)
            _say(_sentence(record))


def checked_films(config: Config) -> tuple[Film, ...]:
    """Return the films of the manifest; ValueError says what is wrong with them."""
    films = read_manifest(config.data.manifest)
    check_split(films)
    check_classes(films)
    return films


def _claim(folder: RunFolder, config: Config, data: TrainingData) -> None:
    folder.path.mkdir(parents=True, exist_ok=True)
    for file, record in ((folder.config, config), (folder.data, data)):
        text = record.model_dump_json(indent=2)
        if file.is_file() and file.read_text() != text:
            raise ValueError(
                f"run folder {folder.path} holds a run with another {file.name}; "
                f"choose another with --run, or remove it"
            )
        file.write_text(text)


def datasets(
    config: Config, films: tuple[Film, ...]
) -> tuple[FilmDataset, FilmDataset, tuple[str, ...]]:
    """Return the decoded films of train, augmented, and of val, and the class names."""
    names = class_names(films)
    train_films, val_films = of_split(films, "train"), of_split(films, "val")
    wanted = config.network
    memory = FilmMemory(config.data.cache, wanted.image_size, wanted.resize_mode, wanted.crop_pct)
    train_pixels = memory.pixels(train_films)
    sources = [film.source for film in train_films]
    train_set = FilmDataset(
        train_pixels,
        film_targets(train_films, names),
        sources=sources,
        augmentation=augmentation(config.augmentation, Styles(train_pixels, sources)),
        seed=config.training.seed,
    )
    val_set = FilmDataset(memory.pixels(val_films), film_targets(val_films, names))
    return train_set, val_set, names


def starting_network(
    config: Config, films: FilmDataset, names: tuple[str, ...], *, task: Task = "multiclass"
) -> tuple[Network, NetworkSpec]:
    """Return the network before training, on the films whose pixels it may be normalised by."""
    wanted = config.network
    rows, columns = wanted.image_size
    pretrained = _pretrained(wanted)
    mean, std = pretrained[1:] if pretrained else _own_mean_and_std(wanted, films)
    spec = NetworkSpec(
        architecture=wanted.architecture,
        head=wanted.head,
        read_out=wanted.read_out,
        class_names=names,
        task=task,
        image_size=wanted.image_size,
        resize_mode=wanted.resize_mode,
        crop_pct=wanted.crop_pct,
        local_contrast=wanted.local_contrast,
        target_layer=target_layer(wanted.architecture, read_out=wanted.read_out),
        activation_grid=(rows // STRIDE, columns // STRIDE),
        mean=mean,
        std=std,
    )
    torch.manual_seed(config.training.seed)
    network = build(spec, drop_rate=wanted.drop_rate, drop_path_rate=wanted.drop_path_rate)
    if pretrained:
        load_pretrained(network, pretrained)
    return network, spec


def training_run(
    config: Config, folder: RunFolder, network: Network, train: FilmDataset, val: FilmDataset
) -> TrainingRun:
    """Return the training to be run: of all layers, or of those after the cached ones."""
    training = config.training
    if not training.cache_features:
        return TrainingRun(network, training, train, val)
    cache = feature_cache(network, training, training.cache_folder or folder.features)
    copies = cache.features(train, copies=training.cache_copies)
    return TrainingRun(network, training, copies, cache.features(val, copies=1))


def _own_mean_and_std(wanted: NetworkConfig, films: FilmDataset) -> tuple[float, float]:
    if wanted.local_contrast is not None:
        return local_contrast.MEAN, local_contrast.STD
    mean, std = mean_and_std(films.pixels)
    return round(mean, 4), round(std, 4)


def _pretrained(wanted: NetworkConfig) -> Pretrained | None:
    if wanted.pretrained:
        return from_hub(wanted.architecture)
    if wanted.weights and wanted.mean and wanted.std:
        return from_file(wanted.architecture, wanted.weights, mean=wanted.mean, std=wanted.std)
    return None


def mean_and_std(pixels: UInt8[np.ndarray, "films rows columns"]) -> tuple[float, float]:
    """Return mean and standard deviation of pixels / 255, counted film by film."""
    counts = sum(np.bincount(film.ravel(), minlength=256) for film in pixels)
    shares = counts / pixels.size
    grey = np.arange(256) / 255
    mean = float(shares @ grey)
    return mean, float(np.sqrt(shares @ (grey - mean) ** 2))


def _save(folder: RunFolder, loop: TrainingRun, spec: NetworkSpec) -> None:
    """Write what the epoch left; all processes come here, because each may hold a share of it."""
    best, state = loop.whole_average() if loop.is_best else None, loop.state()
    if not loop.processes.is_first:
        return
    if best is not None:
        save_checkpoint(folder.best, best, spec)
    save(state, folder.state)
    _write_history(folder, loop.history)
    _write_gradient_flow(folder, loop.gradient_flow.records)


def _write_history(folder: RunFolder, history: Sequence[EpochRecord]) -> None:
    with replacing(folder.metrics) as unfinished:
        unfinished.write_text("".join(json.dumps(record) + "\n" for record in history))
    draw_curves(history, folder.curves)


def _write_gradient_flow(folder: RunFolder, records: Sequence[FlowRecord]) -> None:
    """Write all records and their picture, unless they stand there already."""
    text = "".join(record.model_dump_json() + "\n" for record in records)
    if records and not (
        folder.gradient_flow.is_file() and folder.gradient_flow.read_text() == text
    ):
        draw_gradient_flow(records, folder.gradient_flow_plot)
        folder.gradient_flow.write_text(text)


def _sentence(record: EpochRecord) -> str:
    sentence = (
        f"epoch {record['epoch'] + 1:3.0f}: train loss {record['train_loss']:.3f}, "
        f"val loss {record['val_loss']:.3f}, macro AUROC {record['val_macro_auroc']:.4f}"
    )
    if "val_balanced_accuracy" not in record:  # multi-label: no class is the predicted one
        return sentence
    return f"{sentence}, balanced accuracy {record['val_balanced_accuracy']:.3f}"


def _say(sentence: str) -> None:
    if Processes.current().is_first:
        sys.stdout.write(sentence + "\n")
        sys.stdout.flush()
