"""Answer as several exported models together: the mean of their logits, each at its temperature.

    logits = mean over members m of logits_m / temperature_m
    probabilities = softmax(logits / temperature)

A small JSON file beside the models, which `cxr ensemble` writes, names the members and holds what
was chosen on val films for all of them together. There is no map: the members' grids differ.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from models.card import REFUSALS, ModelCard, Refusal
from xai.ensemble_card import EnsembleCard, Member
from xai.explainer import Answers, Explainer

FILE_NAME = "ensemble.json"


@dataclass(frozen=True)
class EnsembleAnswers(Answers):
    """An ensemble's answers for one batch of films.

    Attributes:
        refused: [batch, reasons], whether any member refuses the film, by reason.
    """

    refused: NDArray[np.bool_] | None = None

    def refusals(self, card: ModelCard) -> list[tuple[Refusal, ...]]:
        """Return for each film why any member refuses it."""
        rows = np.zeros((0, len(REFUSALS)), bool) if self.refused is None else self.refused
        return [tuple(np.array(REFUSALS)[row].tolist()) for row in rows]


class Ensemble:
    """An ensemble with the models that it is made of.

    Attributes:
        own: What its file holds.
        card: The same as a model's card, by which it decides.
        sha256: Hash of its file.
        members: The models.
    """

    own: EnsembleCard
    card: ModelCard
    sha256: str
    members: tuple[Explainer, ...]

    def __init__(self, file: Path, explainers: Mapping[str, Explainer]) -> None:
        """Read an ensemble's file, and find its members.

        Args:
            file: JSON that `cxr ensemble` wrote.
            explainers: Models by name.

        Raises:
            OSError: It can't be read.
            ValueError: It is no such file, or a member is absent or another file than measured.
        """
        text = file.read_bytes()
        try:
            self.own = EnsembleCard.model_validate_json(text)
            self.members = tuple(_found(member, explainers) for member in self.own.members)
            check_members(self.members)
            self.card = self.own.model_card(self.members[0].card)
        except (ValidationError, ValueError) as error:
            raise ValueError(f"ensemble {file.name}: {error}") from error
        self.sha256 = hashlib.sha256(text).hexdigest()

    @classmethod
    def beside(cls, file: Path) -> "Ensemble":
        """Return the ensemble of a file, its members among the models in the same folder.

        Raises:
            OSError: A file can't be read.
            ValueError: As for the constructor.
        """
        models = [Explainer(one, lazy=True) for one in sorted(file.parent.glob("*.onnx"))]
        return cls(file, {one.card.name: one for one in models})

    def answers(self, of_members: Sequence[Answers]) -> EnsembleAnswers:
        """Return the ensemble's answers, given those of each member for the same films."""
        cards = [member.card for member in self.members]
        logits = mean_logits(of_members, cards)
        powers = np.exp((logits - logits.max(axis=1, keepdims=True)) / self.card.temperature)
        pairs = list(zip(of_members, cards, strict=True))
        reasons = zip(*(answers.refusals(card) for answers, card in pairs), strict=True)
        return EnsembleAnswers(
            logits=logits,
            probabilities=powers / powers.sum(axis=1, keepdims=True),
            evidence=np.zeros((*logits.shape, 0, 0), np.float32),
            distance=np.max(
                [answers.distance / card.distance_threshold for answers, card in pairs], axis=0
            ),
            refused=np.array([[one in set().union(*all_) for one in REFUSALS] for all_ in reasons]),
        )


def mean_logits(answers: Sequence[Answers], cards: Sequence[ModelCard]) -> NDArray[np.float32]:
    """Return the mean of several models' logits, [films, classes], each at its temperature."""
    pairs = zip(answers, cards, strict=True)
    return np.mean([one.logits / np.float32(card.temperature) for one, card in pairs], axis=0)


def check_members(members: Sequence[Explainer]) -> None:
    """Raise ValueError unless there are two models or more, of the same classes and groups."""
    cards = [member.card for member in members]
    if len({card.name for card in cards}) < max(2, len(cards)):
        raise ValueError("members must be two models or more, each once")
    for card in cards:
        if card.task != "multiclass":
            raise ValueError(f"members must be multiclass, but {card.name} is {card.task}")
        if card.class_names != cards[0].class_names:
            raise ValueError(
                f"members must have the same classes: {cards[0].name} has "
                f"{list(cards[0].class_names)}, {card.name} {list(card.class_names)}"
            )
        if _groups(card) != _groups(cards[0]):
            raise ValueError(
                f"members must have the same groups of classes: {cards[0].name} has "
                f"{_groups(cards[0])}, {card.name} {_groups(card)}"
            )


def _groups(card: ModelCard) -> dict[str, tuple[str, ...]]:
    return {group.name: group.class_names for group in card.groups}


def _found(member: Member, explainers: Mapping[str, Explainer]) -> Explainer:
    explainer = explainers.get(member.name)
    if explainer is None:
        raise ValueError(f"its member {member.name} is not among {sorted(explainers)}")
    if explainer.sha256 != member.sha256:
        raise ValueError(
            f"its member {member.name} is another file than that of version {member.version} it "
            "was measured with; write it again with `cxr ensemble`"
        )
    return explainer
