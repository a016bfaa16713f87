"""Pack a trained lung field: float16 weights, with the record of what taught it."""

from pathlib import Path

from models.checkpoint import WEIGHTS, lung_field, save_checkpoint
from training.config import read_run_config
from training.fitting.run_folder import RunFolder


def is_lung_field(folder: RunFolder) -> bool:
    """Return whether a run trained a lung field."""
    return folder.config.is_file() and read_run_config(folder.config).task == "segmentation"


def pack_lung_field(folder: RunFolder, output: Path) -> str:
    """Write a run's best lung field as a checkpoint folder and return a sentence on its size.

    Beside weights and spec lie `config.json` and `data.json` of the run: how it was trained, on
    which films, and whom to credit.

    Args:
        folder: A run of `cxr train` with the task segmentation.
        output: Folder to write.

    Raises:
        ValueError: It is no such run.
    """
    network, spec = lung_field(folder.best)
    save_checkpoint(output, network.half(), spec)
    for record in (folder.config, folder.data):
        (output / record.name).write_text(record.read_text())
    size = (output / WEIGHTS).stat().st_size
    return f"{output}: {size / 1e6:.2f} MB of float16 weights"
