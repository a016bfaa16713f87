"""Write training scalars to TensorBoard."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from training.training_config import Log

Scalar = Callable[[str, float, int], None]
"""Takes name, value and step."""


def unlogged(name: str, value: float, step: int) -> None:
    """Write nothing."""


@contextmanager
def event_log(log: Log, folder: Path, *, from_step: int) -> Iterator[Scalar]:
    """Yield the function that writes a scalar.

    Args:
        log: `tensorboard` or `none`.
        folder: Of the event files.
        from_step: Events of this step and later ones, from before an interruption, are discarded.
    """
    if log == "none":
        yield unlogged
        return
    from torch.utils.tensorboard import SummaryWriter  # takes a second to load

    with SummaryWriter(str(folder), purge_step=from_step) as writer:
        yield writer.add_scalar
