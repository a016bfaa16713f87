"""Export a training run as one ONNX file that explains, with its model card inside."""

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from tqdm import tqdm

from models.card import ExplanationMethod, ModelCard, Storage, WeightStorage, memberships
from models.lungs.window import window_of
from models.network import Network
from training.backprop_proofs.report import backprop_report, verified
from training.data.dataset import film_targets
from training.data.manifest import of_split
from training.evaluation.evaluation import evaluated
from training.export.distance import fitted_distance
from training.export.model_card import Measurements, golden_answer, model_card
from training.export.model_card_page import write_page
from training.export.novelty import film_statistics, fitted_novelty
from training.export.trained_run import FilmSet, TrainedRun, read_trained_run
from training.fitting.run_folder import RunFolder
from training.maps.trust import doubts, films_of
from training.onnx_files.storage import sentence, storage_loss, with_rounded_weights
from training.onnx_files.writing import rewrite_card, write_checked
from training.statistics.calibration import fitted_temperature, largest_temperature
from training.step.objective import objective_for
from xai.explained_network import AnyExplanation, ExplainedNetwork, grad_cam
from xai.explainer import Explainer

CHECKED_FILMS = 16
"""Val films on which ONNX Runtime's answers are compared with PyTorch's."""

DOUBT_FILMS = 16
"""Val films on which maps are compared with a randomised network's; `cxr trust` takes more."""


def export(
    folder: RunFolder,
    output: Path,
    *,
    manifest: Path | None = None,
    with_test: bool = False,
    storage: Storage = "float32",
    method: ExplanationMethod = "grad_cam",
) -> str:
    """Write the ONNX file of a run's best weights and return sentences on its exactness.

    Args:
        folder: A run of `cxr train`.
        output: File to write, once all checks have passed. Beside it go `<model>.backprop.json`,
            the proof of its gradients by hand, and `<model>.MODEL_CARD.md`.
        manifest: Where the films are now; None is where the run found them.
        with_test: Look at the test split and put its figures into the card.
        storage: How large weights are stored.
        method: How the file finds evidence.

    Raises:
        ValueError: The run or its data is unfit, the network has no closed form of the method, the
            gradients by hand are wrong, storing the weights costs too much, or ONNX Runtime's
            answers differ from PyTorch's.
    """
    run = read_trained_run(folder, manifest)
    grad_cam(run.network, method)  # or a refusal, before the proofs take minutes
    _export_head(run)
    # Rounded first, so that everything below is proved of and measured on the stored weights.
    network = with_rounded_weights(run.network, storage)
    proof = _proof(run, network)
    val = run.film_set("val")
    exported, measurements = _measured(run, network, val, storage, method)
    card = model_card(run, measurements, proof_sha256=hashlib.sha256(proof.encode()).hexdigest())
    card, report = _write_model(exported, card, output, run, val, with_test=with_test)
    folder.card.write_text(card.model_dump_json(indent=2))
    output.with_suffix(".backprop.json").write_text(proof)
    write_page(card, output)
    loss = f"; {sentence(card.storage)}" if card.storage else ""
    return "\n".join([report + loss, *_doubts(output, val)])


def _export_head(run: TrainedRun) -> None:
    """Give the network the head that its training objective exports, in place."""
    learnt = film_targets(of_split(run.films, "train"), run.spec.class_names)
    objective = objective_for(learnt, run.config.training)
    run.network.head = objective.exported_head(run.network.head)


def _proof(run: TrainedRun, network: Network) -> str:
    """Return the report on the network's gradients by hand, as JSON."""
    report = verified(
        run.config.name, network, image_size=run.spec.image_size, task=run.spec.task, rounds=3
    )
    if report.faults:
        raise ValueError(
            f"the gradients by hand are off, nothing was written: {'; '.join(report.faults)}"
        )
    return backprop_report(report).model_dump_json(indent=2)


def _measured(
    run: TrainedRun,
    network: Network,
    val: FilmSet,
    storage: Storage,
    method: ExplanationMethod,
) -> tuple[ExplainedNetwork, Measurements]:
    """Fit distance and novelty (train), temperature (val); return the network, and measurements.

    Args:
        run: Its network has the weights as they were trained.
        network: The same with the weights as they are stored.
        val: Films that choose temperature, thresholds and scales.
        storage: How large weights are stored.
        method: How evidence is found.
    """
    explaining = _fitted(run, network, method)
    answers = explained(explaining(network, temperature=1.0), val)
    loss = _storage_loss(storage, explaining, run.network, answers, val)
    temperature = chosen_temperature(run, val, answers.logits.numpy())
    groups = run.config.groups
    is_member = memberships(groups.values(), run.spec.class_names)
    exported = explaining(network, temperature=temperature, is_member=is_member).eval()
    if groups:  # whose evidence depends on the temperature
        answers = explained(exported, val)
    return exported, Measurements(
        answers=answers,
        truth=val.truth(len(run.spec.class_names)),
        weights=run.val_weights(val, run.config.training.choice.thresholds),
        temperature=temperature,
        golden=golden_answer(exported, run.spec.image_size),
        storage=loss,
        method=method,
    )


def _fitted(
    run: TrainedRun, network: Network, method: ExplanationMethod
) -> partial[ExplainedNetwork]:
    """Return what explains a network once it is given, with distance and novelty of train films."""
    train = run.film_set("train")
    statistics = film_statistics(train.dataset, window_of(network))
    return partial(
        ExplainedNetwork,
        distance=fitted_distance(layouts(network, train), train.targets),
        novelty=fitted_novelty(statistics, [film.source for film in train.films]),
        task=run.spec.task,
        method=method,
    )


def chosen_temperature(
    run: TrainedRun, val: FilmSet, logits: Float[np.ndarray, "films classes"]
) -> float:
    """Return the temperature that val films choose, as `[training.choice]` says."""
    by = run.config.training.choice.temperature
    if by == "largest":
        return largest_temperature(logits, val.targets, run.origins(val))
    return fitted_temperature(logits, val.targets, run.val_weights(val, by))


def _storage_loss(
    storage: Storage,
    explaining: Callable[..., ExplainedNetwork],
    trained: Network,
    answers: AnyExplanation,
    val: FilmSet,
) -> WeightStorage | None:
    """Return what storing the weights changed on val films; None for float32, which is exact."""
    if storage == "float32":
        return None
    exact = explained(explaining(trained, temperature=1.0), val)
    return storage_loss(storage, exact, answers, val.targets)


def _write_model(
    network: ExplainedNetwork,
    card: ModelCard,
    output: Path,
    run: TrainedRun,
    val: FilmSet,
    *,
    with_test: bool,
) -> tuple[ModelCard, str]:
    """Write the ONNX file, with figures on test if asked; return its card and a sentence."""
    pixels = val.first(CHECKED_FILMS)
    report = write_checked(network, card, output, pixels=pixels)
    if with_test:
        test = evaluated(Explainer(output), of_split(run.films, "test"))
        card = card.model_copy(update={"metrics": test.metrics})
        rewrite_card(output, card)
    return card, report


def _doubts(model: Path, val: FilmSet) -> Iterator[str]:
    """Yield a warning for each block of weights that the maps do not depend on."""
    places = np.random.default_rng(0).permutation(len(val.films))[:DOUBT_FILMS]
    pixels = np.stack([val.dataset[int(place)][0].numpy() for place in places])
    groups = [val.films[place].group_id for place in places]
    if len(set(groups)) > 1:
        films = films_of(Explainer(model), pixels, groups)
        yield from (f"Warning: {doubt}" for doubt in doubts(model, films))


@torch.inference_mode()
def layouts(network: Network, films: FilmSet) -> Float[np.ndarray, "films features"]:
    """Return the features on which the distance from the training films is measured."""
    batches = tqdm(films.batches(), "layouts", unit="batch", leave=False)
    return torch.cat([network.layout(network.halfway(pixels)) for pixels, _ in batches]).numpy()


@torch.inference_mode()
def explained(network: ExplainedNetwork, films: FilmSet) -> AnyExplanation:
    """Return the explanations of all films, joined."""
    network.eval()
    batches = tqdm(films.batches(), "explaining", unit="batch", leave=False)
    explanations = [network(pixels) for pixels, _ in batches]
    return type(explanations[0])(*map(torch.cat, zip(*explanations, strict=True)))
