"""`cxr export`: from a run folder to one ONNX file that explains, with its card inside."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from tqdm import tqdm

from models.card import ExplanationMethod, NetworkSpec, Storage, TrainingData
from models.checkpoint import load_checkpoint
from models.network import Network
from training.backprop_proofs.report import backprop_report, verified
from training.config import Config, read_run_config
from training.data.dataset import FilmDataset, film_targets
from training.data.film_cache import FilmMemory
from training.data.manifest import Film, Split, of_split, read_manifest
from training.data.split import split_sha256
from training.evaluation.evaluation import evaluated
from training.export.distance import fitted_distance
from training.export.model_card import golden_answer, model_card
from training.export.model_card_page import write_page
from training.fitting.run_folder import RunFolder
from training.maps.trust import doubts, films_of
from training.onnx_files.storage import sentence, storage_loss, with_rounded_weights
from training.onnx_files.writing import write_checked
from training.statistics.calibration import fitted_temperature
from training.step.objective import objective_for
from xai.explained_network import ExplainedNetwork, Explanation
from xai.explainer import Explainer

DOUBT_FILMS = 16
"""On which it is seen whether maps survive a randomised network; `cxr trust` takes more."""


@dataclass(frozen=True)
class FilmSet:
    """The films of one split, and as a network sees them."""

    films: tuple[Film, ...]
    dataset: FilmDataset

    @property
    def targets(self) -> NDArray[np.generic]:
        """The true class numbers, or the findings."""
        return np.asarray(self.dataset.targets)

    def truth(self, classes: int) -> Float[np.ndarray, "films classes"]:
        """Return 1 where a class or finding is there, 0 where not, not a number where unknown."""
        return self.targets if self.targets.ndim == 2 else np.eye(classes)[self.targets]

    def batches(self) -> DataLoader[tuple[torch.Tensor, int | NDArray[np.float32]]]:
        """Return pixels and targets, 64 films at a time, in order."""
        return DataLoader(self.dataset, batch_size=64)


def export(
    folder: RunFolder,
    output: Path,
    *,
    manifest: Path | None = None,
    with_test: bool = False,
    storage: Storage = "float32",
    method: ExplanationMethod = "grad_cam",
) -> str:
    """Write the ONNX file of the run's best weights and return a sentence on its exactness.

    Beside it go `<model>.backprop.json`, which says how far the gradients by hand were from
    autograd's for these very weights (the card holds its hash), and `<model>.MODEL_CARD.md`.

    Weights are rounded for their storage first: everything below is the rounded network's.
    Temperature, decision thresholds, evidence scale and distance threshold are chosen on val.

    Args:
        folder: A run of `cxr train`.
        output: The file to write; it appears only when all checks have passed.
        manifest: Where the films are now, if not where the run found them.
        with_test: Look at the test split and put its figures into the card.
        storage: How large weights are stored.
        method: How the file finds evidence; under a pooled head, and under the average of patch
            tokens, both methods are one.

    Raises:
        ValueError: The run or its data is unfit, the gradients by hand are wrong, storing the
            weights costs too much, or ONNX Runtime's answers differ from PyTorch's.
    """
    config, trained, spec = _trained(folder)
    films, data = _films(folder, manifest or config.data.manifest)
    learnt = film_targets(of_split(films, "train"), spec.class_names)
    trained.head = objective_for(learnt, config.training).exported_head(trained.head)
    network = with_rounded_weights(trained, storage)
    proof = _proof(config, network, spec)
    memory = FilmMemory(config.data.cache, spec.image_size, spec.resize_mode, spec.crop_pct)
    train, val = (_film_set(films, split, spec, memory) for split in ("train", "val"))
    distance = fitted_distance(layouts(network, train), train.targets)
    explaining = partial(ExplainedNetwork, distance=distance, task=spec.task, method=method)
    answers = explained(explaining(network, temperature=1.0), val)
    loss = None
    if storage != "float32":
        exact = explained(explaining(trained, temperature=1.0), val)
        loss = storage_loss(storage, exact, answers, val.targets)
    temperature = fitted_temperature(answers.logits.numpy(), val.targets)
    exported = explaining(network, temperature=temperature).eval()
    card = model_card(
        config,
        spec,
        answers=answers,
        truth=val.truth(len(spec.class_names)),
        temperature=temperature,
        golden=golden_answer(exported, spec.image_size),
        data=data,
        backprop_report_sha256=hashlib.sha256(proof.encode()).hexdigest(),
        storage=loss,
        method=method,
    )
    pixels = torch.stack([val.dataset[index][0] for index in range(min(16, len(val.films)))])
    report = write_checked(exported, card, output, pixels=pixels)
    if with_test:
        test = evaluated(Explainer(output), of_split(films, "test"))
        card = card.model_copy(update={"metrics": test.metrics})
        report = write_checked(exported, card, output, pixels=pixels)
    folder.card.write_text(card.model_dump_json(indent=2))
    output.with_suffix(".backprop.json").write_text(proof)
    write_page(card, output)
    said = [report, sentence(loss)] if loss else [report]
    return "\n".join(["; ".join(said), *_doubts(output, val)])


def _doubts(model: Path, val: FilmSet) -> Iterator[str]:
    """Yield a warning for each part of the network whose weights the map does not depend on."""
    places = np.random.default_rng(0).permutation(len(val.films))[:DOUBT_FILMS]
    pixels = np.stack([val.dataset[int(place)][0].numpy() for place in places])
    groups = [val.films[place].group_id for place in places]
    if len(set(groups)) > 1:
        films = films_of(Explainer(model), pixels, groups)
        yield from (f"Warning: {doubt}" for doubt in doubts(model, films))


def _trained(folder: RunFolder) -> tuple[Config, Network, NetworkSpec]:
    if not folder.config.is_file():
        raise ValueError(f"{folder.path} is not a run folder: it has no {folder.config.name}")
    config = read_run_config(folder.config)
    network, spec = load_checkpoint(folder.best)
    return config, network.eval(), spec


def _proof(config: Config, network: Network, spec: NetworkSpec) -> str:
    """Return the report on the network's gradients by hand, as JSON."""
    report = verified(config.name, network, image_size=spec.image_size, task=spec.task, rounds=3)
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
    targets = film_targets(chosen, spec.class_names)
    return FilmSet(chosen, FilmDataset(memory.pixels(chosen), targets))


@torch.inference_mode()
def layouts(network: Network, films: FilmSet) -> Float[np.ndarray, "films features"]:
    """Return what the distance from the training films is measured on."""
    batches = tqdm(films.batches(), "layouts", unit="batch", leave=False)
    return torch.cat([network.layout(network.halfway(pixels)) for pixels, _ in batches]).numpy()


@torch.inference_mode()
def explained(network: ExplainedNetwork, films: FilmSet) -> Explanation:
    """Return the explanations of all films, one after the other."""
    network.eval()
    batches = tqdm(films.batches(), "explaining", unit="batch", leave=False)
    explanations = [network(pixels) for pixels, _ in batches]
    return Explanation(*(torch.cat(parts) for parts in zip(*explanations, strict=True)))
