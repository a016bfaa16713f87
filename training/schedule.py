"""How the learning rate runs through the training."""

import math


def learning_rate_factor(step: int, *, warmup_steps: int, steps: int) -> float:
    """Return the share of the peak learning rate at a step: a linear rise, then half a cosine.

    Args:
        step: From 0.
        warmup_steps: Steps of the rise; the peak is reached at this step.
        steps: Steps of the whole training; the factor falls towards 0 there.

    Returns:
        In (0, 1].

    Source:
        Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5 with one period.
    """
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
