"""Paths of the files in the folder that a training run writes."""

from dataclasses import dataclass
from pathlib import Path


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
