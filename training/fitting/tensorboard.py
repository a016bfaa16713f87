"""What a training run tells while it runs, as TensorBoard reads it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from training.training_config import Log

Scalar = Callable[[str, float, int], None]
"""Takes name, value and step."""


def unlogged(name: str, value: float, step: int) -> None:
    """Say nothing."""


@contextmanager
def event_log(log: Log, folder: Path, *, from_step: int) -> Iterator[Scalar]:
    """Give what writes a scalar.

    Args:
        log: `tensorboard` or `none`.
        folder: Of the event files.
        from_step: Events of this step and later ones, from before an interruption, are void.
    """
    if log == "none":
        yield unlogged
        return
    from torch.utils.tensorboard import SummaryWriter  # a second to load: only who asks waits

    with SummaryWriter(str(folder), purge_step=from_step) as writer:
        yield writer.add_scalar
