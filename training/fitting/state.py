"""Keep what a training run goes on from, and find its best epoch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from timm.utils import ModelEmaV3
from torch.optim import Optimizer

from models.network import LayeredNetwork
from training.data.whole_file import replacing
from training.gradient_flow.flow import GradientFlow

EpochRecord = dict[str, float | int]


@dataclass
class TrainingState:
    """All that changes while a network trains.

    Attributes:
        network: The network that trains.
        average: The exponential moving average of its weights.
        optimiser: Of all its parameters.
        gradient_flow: Samples of its steps.
        score: The measure of val films that chooses the epoch.
        history: One record per epoch done.
    """

    network: LayeredNetwork
    average: ModelEmaV3
    optimiser: Optimizer
    gradient_flow: GradientFlow
    score: str
    history: list[EpochRecord] = field(default_factory=list)

    @property
    def averaged_network(self) -> LayeredNetwork:
        """The network with the averaged weights, which is validated and exported."""
        network: LayeredNetwork = self.average.module
        return network

    @property
    def is_best(self) -> bool:
        """True if the last epoch has the best score, then the smallest loss."""
        scores = [(record[self.score], -record["val_loss"]) for record in self.history]
        return scores[-1] == max(scores)

    def as_dict(self) -> dict[str, Any]:
        """Return what `restore` reads; it does not depend on the number of processes."""
        return {
            "network": self.network.state_dict(),
            "averaged_network": self.averaged_network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "history": self.history,
            "gradient_flow": self.gradient_flow.state(),
        }

    def save(self, file: Path) -> None:
        """Write the state; a kill while writing leaves the former file whole."""
        with replacing(file) as unfinished:
            torch.save(self.as_dict(), unfinished)

    def restore(self, file: Path) -> None:
        """Go on from a state that `save` wrote."""
        device = next(self.network.parameters()).device
        state: dict[str, Any] = torch.load(file, device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.averaged_network.load_state_dict(state["averaged_network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.history = state["history"]
        self.gradient_flow.restore(state["gradient_flow"])
