import torch
from torch import Tensor

from models.architectures import build
from models.backprop.local_contrast import local_contrast_backward, local_contrast_forward
from models.card import NetworkSpec
from models.layers import (
    CONTRAST_FLOOR,
    CONTRAST_MEAN,
    CONTRAST_STD,
    LocalContrast,
    gaussian_windows,
)
from tests.models.backprop import proofs
from tests.models.backprop.errors import Tensors
from tests.models.backprop.proofs import Layer
from training.step.gradients import by_hand

ROWS, COLUMNS, SIGMA = 5, 4, 0.4


def windows() -> tuple[Tensor, Tensor]:
    rows, columns = (gaussian_windows(side, SIGMA * side).double() for side in (ROWS, COLUMNS))
    return rows, columns


def gradients(grad_out: Tensor, *, x: Tensor) -> Tensors:
    _, deviation, std = local_contrast_forward(x, *windows())
    return {"x": local_contrast_backward(grad_out, *windows(), deviation=deviation, std=std)}


def module(x: Tensor) -> Tensor:
    layer = LocalContrast(SIGMA, (ROWS, COLUMNS)).double()
    layer.row_window, layer.column_window = windows()  # not rounded to float32
    return layer(x)


def twin(grad_out: Tensor, *, x: Tensor) -> Tensors:
    """The Jacobian of a film laid out as one vector: d(d / s) = dd / s - d ds / s^2."""
    mean = torch.kron(*windows())
    off_mean = torch.eye(len(mean), dtype=x.dtype) - mean
    grad_x = torch.zeros_like(x)
    for film in range(len(x)):
        deviation = off_mean @ x[film].flatten()
        std = (mean @ deviation**2 + CONTRAST_FLOOR**2).sqrt()
        std_by_x = (mean * deviation) @ off_mean / std[:, None]
        jacobian = CONTRAST_STD * (
            off_mean / std[:, None] - (deviation / std**2)[:, None] * std_by_x
        )
        grad_x[film] = (grad_out[film].flatten() @ jacobian).reshape(x[film].shape)
    return {"x": grad_x}


def layer() -> Layer:
    return Layer(
        inputs={"x": proofs.draw(2, 1, ROWS, COLUMNS, seed=0)},
        forward=lambda x: local_contrast_forward(x, *windows()).out,
        backward=gradients,
        reference=module,
        twin=twin,
    )


def test_forward_is_the_module() -> None:
    assert proofs.error_of_forward(layer()) < proofs.TOLERANCE


def test_backward_equals_autograd() -> None:
    assert proofs.error_against_autograd(layer()) < proofs.TOLERANCE


def test_backward_equals_finite_differences() -> None:
    error = proofs.error_against_finite_differences(layer())
    assert error < proofs.FINITE_DIFFERENCE_TOLERANCE


def test_backward_equals_the_jacobian_written_out() -> None:
    assert proofs.error_against_twin(layer()) < proofs.TOLERANCE


def deviation_held_constant(grad_out: Tensor, *, x: Tensor) -> Tensors:
    """The planted error: the window's standard deviation taken for a constant."""
    rows, columns = windows()
    grad = CONTRAST_STD * grad_out / local_contrast_forward(x, rows, columns).std
    return {"x": grad - rows.T @ grad @ columns}


def test_every_proof_catches_a_planted_error() -> None:
    assert proofs.least_error_seen(layer(), deviation_held_constant) > proofs.CAUGHT


def test_a_network_behind_it_has_the_gradients_of_autograd() -> None:
    spec = NetworkSpec(
        architecture="chest_cnn",
        class_names=("normal", "ring"),
        image_size=(32, 32),
        resize_mode="stretch",
        local_contrast=0.12,
        target_layer="stages.3",
        activation_grid=(2, 2),
        mean=CONTRAST_MEAN,
        std=CONTRAST_STD,
    )
    network = build(spec).double()
    pixels, targets = proofs.draw(2, 1, 32, 32, seed=1), torch.tensor([0, 1])
    loss = torch.nn.functional.cross_entropy(network(pixels), targets)
    expected = torch.autograd.grad(loss, tuple(network.parameters()))
    _, seen = by_hand(network, pixels, targets)
    for (name, _), gradient in zip(network.named_parameters(), expected, strict=True):
        torch.testing.assert_close(seen[name], gradient, rtol=1e-8, atol=1e-10)
