"""Name the files in the folder that a training run writes."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run's files: config, data, metrics, curves, best weights, state, card."""

    path: Path

    @property
    def config(self) -> Path:
        """The config with all defaults, as `training.config.read_run_config` reads it."""
        return self.path / "config.json"

    @property
    def data(self) -> Path:
        """Hashes and counts of the films it learns from."""
        return self.path / "data.json"

    @property
    def card(self) -> Path:
        """The model card, written by `cxr export`."""
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
        """Checkpoint folder of the epoch with the best score on val, macro AUROC or Dice."""
        return self.path / "best"

    @property
    def state(self) -> Path:
        """Network and optimiser after the last epoch."""
        return self.path / "last.pt"

    @property
    def events(self) -> Path:
        """TensorBoard's events, if the run logs them."""
        return self.path / "events"

    @property
    def features(self) -> Path:
        """Cached features of the films, if the run caches them here; may be removed afterwards."""
        return self.path / "features"
