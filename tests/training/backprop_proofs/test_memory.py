"""The memory of tensors is counted as it is taken and freed."""

import torch
from torch import Tensor

from training.backprop_proofs.memory import peak_bytes

KILOBYTE = torch.zeros(256)


def test_what_is_alive_at_once_adds_up() -> None:
    def job() -> Tensor:
        first, second = KILOBYTE + 1, KILOBYTE + 2
        return first.add_(second)

    assert peak_bytes(job) == 2048


def test_what_is_let_go_no_longer_counts() -> None:
    def job() -> None:
        for _ in range(5):
            out = KILOBYTE + 1
            del out

    assert peak_bytes(job) == 1024


def test_views_and_what_was_there_before_cost_nothing() -> None:
    assert peak_bytes(lambda: KILOBYTE.view(16, 16).T) == 0


def test_what_autograd_keeps_counts() -> None:
    weight = torch.ones(256, requires_grad=True)

    def job() -> None:
        x = weight
        for _ in range(4):
            x = x.exp()  # each keeps its output
        x.sum().backward()

    assert peak_bytes(job) >= 5 * 1024
