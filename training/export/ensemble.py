"""Choose and measure on films how several exported models answer together."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.card import ClassGroup
from training.data.dataset import class_numbers
from training.data.manifest import Film, of_split
from training.data.whole_file import replacing
from training.evaluation.evaluation import evaluated, explained_films
from training.export.model_card import decision_thresholds, histogram
from training.statistics.calibration import calibrated, fitted_temperature
from training.statistics.conformal import conformal_quantiles
from xai.ensemble import Ensemble, check_members, mean_logits
from xai.ensemble_card import EnsembleCard, Member
from xai.explainer import Answers, Explainer, group_probabilities


def write_ensemble(
    models: Sequence[Path],
    output: Path,
    films: Sequence[Film],
    *,
    version: str,
    with_test: bool = False,
) -> Ensemble:
    """Write the card of an ensemble: temperature and thresholds from val, as for a model.

    Args:
        models: ONNX files of its members.
        output: JSON file to write; the server looks for `ensemble.json` beside the models.
        films: All films of the manifest.
        version: Of the ensemble.
        with_test: Look at the test split and put its figures into the card.

    Raises:
        ValueError: The models can't form an ensemble, or a film has a class that they don't know.
    """
    explainers = [Explainer(model) for model in models]
    check_members(explainers)
    card = _chosen(explainers, of_split(films, "val"), version)
    _write(card, output)
    by_name = {one.card.name: one for one in explainers}
    ensemble = Ensemble(output, by_name)
    if with_test:
        test = evaluated(ensemble, of_split(films, "test"))
        _write(card.model_copy(update={"metrics": test.metrics}), output)
    return Ensemble(output, by_name)


def _chosen(explainers: Sequence[Explainer], val: Sequence[Film], version: str) -> EnsembleCard:
    """Return the card, without figures, of what is chosen on val films."""
    cards = [one.card for one in explainers]
    answers = [Answers.joined(list(explained_films(one, val))) for one in explainers]
    logits = mean_logits(answers, cards)
    targets = np.array(class_numbers(val, cards[0].class_names))
    temperature = fitted_temperature(logits, targets)
    probabilities = calibrated(logits, temperature)
    truth = np.eye(len(cards[0].class_names))[targets]
    of_groups = [group_probabilities(one, cards[0]) for one in (probabilities, truth)]
    thresholds = zip(cards[0].groups, decision_thresholds(*of_groups), strict=True)
    return EnsembleCard(
        version=version,
        members=tuple(
            Member(name=one.card.name, version=one.card.version, sha256=one.sha256)
            for one in explainers
        ),
        temperature=temperature,
        decision_thresholds=decision_thresholds(probabilities, truth),
        groups=tuple(
            ClassGroup(
                name=group.name,
                class_names=group.class_names,
                threshold=threshold,
                evidence_scale=1.0,
            )
            for group, threshold in thresholds
        ),
        conformal_quantiles=conformal_quantiles(probabilities, targets),
        score_histograms=tuple(histogram(scores, (0.0, 1.0)) for scores in probabilities.T),
    )


def _write(card: EnsembleCard, output: Path) -> None:
    with replacing(output) as unfinished:
        unfinished.write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
