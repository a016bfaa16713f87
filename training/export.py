"""`cxr export`: from a run folder to one ONNX file that explains, with its card inside."""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch.utils.data import DataLoader
from tqdm import tqdm

from models.card import NetworkSpec, TrainingData
from models.checkpoint import load_checkpoint
from models.seam import Network
from training.backprop_report import backprop_report, verified
from training.calibration import fitted_temperature
from training.config import Config
from training.dataset import FilmDataset, class_numbers
from training.evaluation import evaluated
from training.film_memory import FilmMemory
from training.manifest import Film, Split, of_split, read_manifest
from training.model_card import golden_answer, model_card
from training.onnx_file import write_checked
from training.outliers import fitted_distance
from training.split import split_sha256
from training.train import RunFolder
from xai.explained_network import ExplainedNetwork, Explanation
from xai.explainer import Explainer
from xai.grad_cam import centred_head


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cxr export`."""
    parser.add_argument("run", type=Path, help="folder that `cxr train` wrote")
    parser.add_argument("-o", "--output", type=Path, required=True, help="ONNX file to write")
    parser.add_argument("--manifest", type=Path, help="instead of the run's manifest")
    parser.add_argument(
        "--test", action="store_true", help="put the figures on the test split into the card"
    )


def run(arguments: argparse.Namespace) -> int:
    """Export, and say how far ONNX Runtime is from PyTorch; exit code 0."""
    report = export(
        RunFolder(arguments.run),
        arguments.output,
        manifest=arguments.manifest,
        with_test=arguments.test,
    )
    sys.stdout.write(report + "\n")
    return 0


@dataclass(frozen=True)
class FilmSet:
    """The films of one split, and as a network sees them."""

    films: tuple[Film, ...]
    dataset: FilmDataset

    @property
    def targets(self) -> Int[np.ndarray, " films"]:
        """The true class numbers."""
        return np.array(self.dataset.targets)

    def batches(self) -> DataLoader[tuple[torch.Tensor, int]]:
        """Return pixels and class numbers, 64 films at a time, in order."""
        return DataLoader(self.dataset, batch_size=64)


def export(
    folder: RunFolder, output: Path, *, manifest: Path | None = None, with_test: bool = False
) -> str:
    """Write the ONNX file of the run's best weights and return a sentence on its exactness.

    Beside it goes `<model>.backprop.json`: how far the gradients by hand were from autograd's for
    these very weights; the card holds its hash.

    Temperature, decision thresholds, evidence scale and distance threshold are chosen on val.

    Args:
        folder: A run of `cxr train`.
        output: The file to write; it appears only when all checks have passed.
        manifest: Where the films are now, if not where the run found them.
        with_test: Look at the test split and put its figures into the card.

    Raises:
        ValueError: The run or its data is unfit, the gradients by hand are wrong, or ONNX Runtime's
            answers differ from PyTorch's.
    """
    config, network, spec = _trained(folder)
    films, data = _films(folder, manifest or config.data.manifest)
    proof = _proof(config, network, spec)
    memory = FilmMemory(config.data.cache, spec.image_size, spec.resize_mode, spec.crop_pct)
    train, val = (_film_set(films, split, spec, memory) for split in ("train", "val"))
    distance = fitted_distance(pooled_features(network, train), train.targets)
    answers = explained(ExplainedNetwork(network, distance, temperature=1.0), val)
    temperature = fitted_temperature(answers.logits.numpy(), val.targets)
    exported = ExplainedNetwork(network, distance, temperature=temperature).eval()
    card = model_card(
        config,
        spec,
        answers=answers,
        targets=val.targets,
        temperature=temperature,
        golden=golden_answer(exported, spec.image_size),
        data=data,
        backprop_report_sha256=hashlib.sha256(proof.encode()).hexdigest(),
    )
    pixels = torch.stack([val.dataset[index][0] for index in range(min(16, len(val.films)))])
    report = write_checked(exported, card, output, pixels=pixels)
    if with_test:
        test = evaluated(Explainer(output), of_split(films, "test"))
        card = card.model_copy(update={"metrics": test.metrics})
        report = write_checked(exported, card, output, pixels=pixels)
    folder.card.write_text(card.model_dump_json(indent=2))
    output.with_suffix(".backprop.json").write_text(proof)
    return report


def _trained(folder: RunFolder) -> tuple[Config, Network, NetworkSpec]:
    if not folder.config.is_file():
        raise ValueError(f"{folder.path} is not a run folder: it has no {folder.config.name}")
    config = Config.model_validate_json(folder.config.read_text())
    network, spec = load_checkpoint(folder.best)
    network.head = centred_head(network.head)
    return config, network.eval(), spec


def _proof(config: Config, network: Network, spec: NetworkSpec) -> str:
    """Return the report on the network's gradients by hand, as JSON."""
    report = verified(config.name, network, image_size=spec.image_size, rounds=3)
    if report.faults:
        raise ValueError(
            f"the gradients by hand are off, nothing was written: {'; '.join(report.faults)}"
        )
    return backprop_report(report).model_dump_json(indent=2)


def _films(folder: RunFolder, manifest: Path) -> tuple[tuple[Film, ...], TrainingData]:
    films = read_manifest(manifest)
    data = TrainingData.model_validate_json(folder.data.read_text())
    if split_sha256(films) != data.split_sha256:
        raise ValueError(
            f"manifest {manifest} has other films or other splits than the run {folder.path} "
            f"learnt from: training films might be among those that choose or measure"
        )
    return films, data


def _film_set(
    films: Sequence[Film], split: Split, spec: NetworkSpec, memory: FilmMemory
) -> FilmSet:
    chosen = of_split(films, split)
    targets = class_numbers(chosen, spec.class_names)
    return FilmSet(chosen, FilmDataset(memory.pixels(chosen), targets))


@torch.inference_mode()
def pooled_features(network: Network, films: FilmSet) -> Float[np.ndarray, "films channels"]:
    """Return the activations of the target layer, averaged over positions."""
    batches = tqdm(films.batches(), "features", unit="batch", leave=False)
    features = (network.on_grid(network.features(pixels)) for pixels, _ in batches)
    return torch.cat([activations.mean(dim=(2, 3)) for activations in features]).numpy()


@torch.inference_mode()
def explained(network: ExplainedNetwork, films: FilmSet) -> Explanation:
    """Return the explanations of all films, one after the other."""
    network.eval()
    batches = tqdm(films.batches(), "explaining", unit="batch", leave=False)
    explanations = [network(pixels) for pixels, _ in batches]
    return Explanation(*(torch.cat(parts) for parts in zip(*explanations, strict=True)))
