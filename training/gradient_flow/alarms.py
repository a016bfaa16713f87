"""Detect vanishing or exploding gradients, too large updates and dead units; name the remedies."""

from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple

from training.gradient_flow.sample import FlowRecord

VANISHED = 1e-3
"""In errors of the last hidden layer: a layer with less has a vanishing gradient."""

EXPLODED = 1e3
"""In errors of the last hidden layer: a layer with more has an exploding gradient."""

OVERSHOT = 1.0
"""Norm of an update in norms of the weights: a larger one overwrites what was learnt."""

USUAL_UPDATE = 1e-3
"""The same, for a good learning rate: a rule of thumb.

Source:
    Karpathy, "CS231n: Convolutional Neural Networks for Visual Recognition", course notes, "Neural
    Networks Part 3: Learning and Evaluation", section "Ratio of weights:updates".
"""

DEAD = 0.9
"""Share of a layer's units: a layer with more dead ones is dying.

Half is normal for hidden layers on vectors, whose units hardly differ between films at the start.
"""


class Alarm(NamedTuple):
    """A kind of trouble: the layers that have it, and the message."""

    layers: Callable[[FlowRecord], Sequence[str]]
    finding: str
    remedy: str


def alarms(record: FlowRecord) -> dict[str, str]:
    """Return a message for each kind of trouble in a step; empty where there is none."""
    found = {kind: (alarm, alarm.layers(record)) for kind, alarm in ALARMS.items()}
    return {
        kind: f"step {record.step}: {alarm.finding.format(layers=_enumerated(layers))}. "
        f"Remedies: {alarm.remedy}."
        for kind, (alarm, layers) in found.items()
        if layers
    }


def _vanished(record: FlowRecord) -> list[str]:
    """Return the layers with almost no error, from the first layer on.

    Later layers with little error, after a first one with enough, are in the branches of a residual
    network; the error goes past them.
    """
    hidden, reference = _hidden_errors(record)
    return list(takewhile(lambda name: hidden[name] <= VANISHED * reference, hidden))


def _exploded(record: FlowRecord) -> list[str]:
    hidden, reference = _hidden_errors(record)
    return [name for name, error in hidden.items() if not error <= EXPLODED * reference]


def _overshot(record: FlowRecord) -> list[str]:
    return [name for name, ratio in record.update_ratio.items() if not ratio <= OVERSHOT]


def _dying(record: FlowRecord) -> list[str]:
    return [name for name, share in record.dead_share.items() if share > DEAD]


def _hidden_errors(record: FlowRecord) -> tuple[Mapping[str, float], float]:
    """Return the errors of all layers but the head, and that of the last of them.

    The head's own error is no reference for the others: because of small weights behind it and the
    average over positions it is some hundred times larger in healthy networks.
    """
    hidden = dict(list(record.error_signal.items())[:-1])
    return hidden, list(hidden.values())[-1] if hidden else 0.0


def _enumerated(names: Sequence[str]) -> str:
    return ", ".join(names)


ALARMS = {
    "vanishing": Alarm(
        _vanished,
        "the gradient vanishes: less than a thousandth of the error at the last hidden layer "
        "arrives at {layers}, which hardly learn",
        "He or Glorot initialisation (arXiv:1502.01852), normalisation (arXiv:1502.03167), "
        "residual connections (arXiv:1512.03385), ReLU instead of sigmoid or tanh",
    ),
    "exploding": Alarm(
        _exploded,
        "the gradient explodes: more than a thousand times the error at the last hidden layer, or "
        "no finite number, arrives at {layers}",
        "gradient clipping (Pascanu et al. 2013, arXiv:1211.5063), warm-up (arXiv:1706.02677), a "
        "lower learning rate; if it is so from the first step, He initialisation "
        "(arXiv:1502.01852) and normalisation (arXiv:1502.03167)",
    ),
    "overshooting": Alarm(
        _overshot,
        "the update overshoots: it is larger than the weights themselves at {layers}; a thousandth "
        "of them is usual (Karpathy, CS231n)",
        "a lower learning rate, warm-up (arXiv:1706.02677)",
    ),
    "dying": Alarm(
        _dying,
        "units die: more than nine in ten are zero for every film of the batch at {layers}",
        "a lower learning rate, He initialisation (arXiv:1502.01852), leaky ReLU, normalisation "
        "(Lu et al. 2019, arXiv:1903.06733)",
    ),
}
