import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from models.backprop.optimiser import (
    adam_start,
    adam_step,
    adamw_step,
    clip_gradient_norm,
    sgd_start,
    sgd_step,
)
from tests.models.backprop.errors import relative_error
from tests.models.backprop.proofs import CAUGHT, draw

TOLERANCE = 1e-9
"""Dividing by the size of the gradient magnifies rounding."""
STEPS = 20


@dataclass(frozen=True)
class Rule:
    """A way to step: by hand, by PyTorch, and on one number as its paper has it."""

    start: Callable[[Tensor], Any]
    step: Callable[..., tuple[Tensor, Any]]
    torch_kind: Callable[..., torch.optim.Optimizer]
    twin: Callable[..., Iterator[float]]


@dataclass(frozen=True)
class Walk:
    """A rule with its settings, a weight to start from and the gradients that it will meet."""

    rule: Rule
    settings: dict[str, Any]
    seed: int = 0
    shape: tuple[int, ...] = (2, 3)

    @property
    def weight(self) -> Tensor:
        return draw(*self.shape, seed=self.seed)

    @property
    def gradients(self) -> Tensor:
        return draw(STEPS, *self.shape, seed=self.seed + 1)

    def by_hand(self) -> Tensor:
        weight, state = self.weight, self.rule.start(self.weight)
        weights = []
        for gradient in self.gradients:
            weight, state = self.rule.step(weight, gradient, state, **self.settings)
            weights.append(weight)
        return torch.stack(weights)

    def by_torch(self) -> Tensor:
        parameter = nn.Parameter(self.weight)
        known = {"lr" if name == "learning_rate" else name: x for name, x in self.settings.items()}
        optimiser = self.rule.torch_kind([parameter], **known)
        weights = []
        for gradient in self.gradients:
            parameter.grad = gradient
            optimiser.step()
            weights.append(parameter.detach().clone())
        return torch.stack(weights)

    def by_twin(self) -> Tensor:
        entries = zip(self.weight.flatten(), self.gradients.reshape(STEPS, -1).T, strict=True)
        walks = [
            list(self.rule.twin(float(weight), gradients.tolist(), **self.settings))
            for weight, gradients in entries
        ]
        return torch.tensor(walks, dtype=torch.float64).T.view(STEPS, *self.shape)


def sgd_twin(
    ahead: float,
    gradients: list[float],
    *,
    learning_rate: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> Iterator[float]:
    """Sutskever et al. 2013, equations 1 to 4; the gradient is taken at `ahead`.

    Nesterov's looks ahead along the velocity, classical momentum stays where it is.
    """
    weight, velocity = ahead, 0.0
    for gradient in gradients:
        slope = gradient + weight_decay * ahead
        velocity = momentum * velocity - learning_rate * slope
        weight = weight + velocity
        ahead = weight + momentum * velocity if nesterov else weight
        yield ahead


def adam_twin(
    weight: float,
    gradients: list[float],
    *,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Iterator[float]:
    """Kingma and Ba 2015, algorithm 1."""
    m = v = 0.0
    for t, gradient in enumerate(gradients, start=1):
        g = gradient + weight_decay * weight
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        m_hat, v_hat = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
        weight = weight - learning_rate * m_hat / (math.sqrt(v_hat) + eps)
        yield weight


def adamw_twin(
    weight: float,
    gradients: list[float],
    *,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> Iterator[float]:
    """Loshchilov and Hutter 2019, algorithm 2: what Adam adds to any weight, and the decay."""
    added = adam_twin(0.0, gradients, learning_rate=learning_rate, betas=betas, eps=eps)
    last = 0.0
    for total in added:
        weight = weight + (total - last) - learning_rate * weight_decay * weight
        last = total
        yield weight


SGD = Rule(sgd_start, sgd_step, torch.optim.SGD, sgd_twin)
ADAM = Rule(adam_start, adam_step, torch.optim.Adam, adam_twin)
ADAMW = Rule(adam_start, adamw_step, torch.optim.AdamW, adamw_twin)

RATES, FADING, DECAYS = st.floats(1e-4, 0.5), st.floats(0, 0.99), st.floats(0, 0.5)
SHAPES = st.lists(st.integers(1, 3), max_size=3).map(tuple)
SGD_SETTINGS = st.fixed_dictionaries(
    {
        "learning_rate": RATES,
        "momentum": st.floats(0.01, 0.99),
        "nesterov": st.booleans(),
        "weight_decay": DECAYS,
    }
) | st.fixed_dictionaries({"learning_rate": RATES})
ADAM_SETTINGS = st.fixed_dictionaries(
    {"learning_rate": RATES},
    optional={
        "betas": st.tuples(FADING, st.floats(0.5, 0.999)),
        "eps": st.floats(1e-10, 1e-2),
        "weight_decay": DECAYS,
    },
)
SEEDS = st.integers(0, 999)
WALKS = st.one_of(
    st.builds(Walk, st.just(SGD), SGD_SETTINGS, SEEDS, SHAPES),
    st.builds(Walk, st.sampled_from([ADAM, ADAMW]), ADAM_SETTINGS, SEEDS, SHAPES),
)


def error(seen: Tensor, expected: Tensor) -> float:
    return relative_error({"weights": seen}, {"weights": expected})


@given(WALKS)
def test_twenty_steps_equal_pytorchs(walk: Walk) -> None:
    assert error(walk.by_hand(), walk.by_torch()) < TOLERANCE


@given(WALKS)
def test_twenty_steps_equal_the_slow_twins(walk: Walk) -> None:
    assert error(walk.by_hand(), walk.by_twin()) < TOLERANCE


AVERAGED = {"learning_rate": 0.1, "betas": (0.8, 0.9), "eps": 0.1, "weight_decay": 0.5}
MOMENTUM = {"learning_rate": 0.1, "momentum": 0.8, "nesterov": False, "weight_decay": 0.5}
NESTEROV = MOMENTUM | {"nesterov": True}


def adam_without_correction(weight: Tensor, grad: Tensor, state: Any, **known: Any) -> Any:
    return adam_step(weight, grad, state._replace(step=10_000), **known)


def adam_with_eps_in_the_root(
    weight: Tensor, grad: Tensor, state: Any, *, eps: float, **known: Any
) -> Any:
    return adam_step(weight, grad, state, eps=math.sqrt(eps), **known)


def adam_with_exchanged_betas(
    weight: Tensor, grad: Tensor, state: Any, *, betas: tuple[float, float], **known: Any
) -> Any:
    return adam_step(weight, grad, state, betas=betas[::-1], **known)


def sgd_with_dampened_gradient(
    weight: Tensor, grad: Tensor, state: Any, *, momentum: float, **known: Any
) -> Any:
    return sgd_step(weight, (1 - momentum) * grad, state, momentum=momentum, **known)


def sgd_that_forgets(weight: Tensor, grad: Tensor, state: Any, **known: Any) -> Any:
    return sgd_step(weight, grad, sgd_start(weight), **known)


def sgd_that_never_looks_ahead(weight: Tensor, grad: Tensor, state: Any, **known: Any) -> Any:
    return sgd_step(weight, grad, state, **known | {"nesterov": False})


def sgd_without_decay(weight: Tensor, grad: Tensor, state: Any, **known: Any) -> Any:
    return sgd_step(weight, grad, state, **known | {"weight_decay": 0.0})


PLANTED = (
    (ADAM, AVERAGED, adam_without_correction),
    (ADAM, AVERAGED, adam_with_eps_in_the_root),
    (ADAM, AVERAGED, adam_with_exchanged_betas),
    (ADAM, AVERAGED, adamw_step),
    (ADAMW, AVERAGED, adam_step),
    (SGD, MOMENTUM, sgd_with_dampened_gradient),
    (SGD, MOMENTUM, sgd_that_forgets),
    (SGD, NESTEROV, sgd_that_never_looks_ahead),
    (SGD, NESTEROV, sgd_without_decay),
)


@pytest.mark.parametrize(("rule", "known", "wrong"), PLANTED)
def test_both_proofs_catch_a_planted_error(
    rule: Rule, known: dict[str, Any], wrong: Callable[..., tuple[Tensor, Any]]
) -> None:
    right, planted = Walk(rule, known), Walk(replace(rule, step=wrong), known)
    assert error(planted.by_hand(), right.by_torch()) > CAUGHT
    assert error(planted.by_hand(), right.by_twin()) > CAUGHT


each_rule = pytest.mark.parametrize("rule", [SGD, ADAM, ADAMW], ids=["sgd", "adam", "adamw"])


@each_rule
def test_a_step_leaves_what_it_is_given_untouched(rule: Rule) -> None:
    weight, gradient = draw(3, seed=0), draw(3, seed=1)
    _, state = rule.step(weight, gradient, rule.start(weight), learning_rate=0.1)
    before = [tensor.clone() for tensor in state if isinstance(tensor, Tensor)]
    rule.step(weight, gradient, state, learning_rate=0.1)
    after = [tensor for tensor in state if isinstance(tensor, Tensor)]
    assert all(map(torch.equal, before, after))
    assert torch.equal(weight, draw(3, seed=0))
    assert torch.equal(gradient, draw(3, seed=1))


@each_rule
def test_without_gradient_and_decay_a_weight_stays(rule: Rule) -> None:
    weight = draw(3, seed=0)
    zero, start = torch.zeros_like(weight), rule.start(weight)
    moved, _ = rule.step(weight, zero, start, learning_rate=0.1, weight_decay=0.0)
    assert torch.equal(moved, weight)


@each_rule
def test_every_rule_finds_the_bottom_of_a_bowl(rule: Rule) -> None:
    weight, bottom = draw(3, seed=0), draw(3, seed=1)
    state = rule.start(weight)
    for _ in range(300):
        slope = weight - bottom
        weight, state = rule.step(weight, slope, state, learning_rate=0.05, weight_decay=0.0)
    torch.testing.assert_close(weight, bottom, atol=1e-3, rtol=0)


WRONG_SETTINGS = (
    (SGD, {"learning_rate": -0.1}, r"learning_rate must be finite and at least 0, not -0.1"),
    (SGD, {"learning_rate": math.nan}, r"learning_rate must be finite and at least 0, not nan"),
    (SGD, {"weight_decay": -1.0}, r"weight_decay must be finite and at least 0, not -1.0"),
    (SGD, {"momentum": 1.0}, r"momentum must be in \[0, 1\), not 1.0"),
    (SGD, {"nesterov": True}, r"momentum must be above 0 where nesterov is set, not 0.0"),
    (ADAM, {"betas": (1.0, 0.9)}, r"betas\[0\] must be in \[0, 1\), not 1.0"),
    (ADAM, {"betas": (0.9, -0.1)}, r"betas\[1\] must be in \[0, 1\), not -0.1"),
    (ADAM, {"eps": 0.0}, r"eps must be above 0, not 0.0"),
    (ADAM, {"weight_decay": -1.0}, r"weight_decay must be finite and at least 0, not -1.0"),
    (ADAMW, {"learning_rate": -0.1}, r"learning_rate must be finite and at least 0, not -0.1"),
)


@pytest.mark.parametrize(("rule", "wrong", "message"), WRONG_SETTINGS)
def test_a_setting_out_of_its_range_is_refused(
    rule: Rule, wrong: dict[str, Any], message: str
) -> None:
    weight = draw(2, seed=0)
    with pytest.raises(ValueError, match=message):
        rule.step(weight, weight, rule.start(weight), **{"learning_rate": 0.1} | wrong)


def gradients_by_name(shapes: list[tuple[int, ...]], seed: int) -> dict[str, Tensor]:
    return {f"layer{i}": draw(*shape, seed=seed + i) for i, shape in enumerate(shapes)}


def clipped_by_torch(gradients: dict[str, Tensor], max_norm: float) -> dict[str, Tensor]:
    parameters = {name: nn.Parameter(torch.zeros_like(x)) for name, x in gradients.items()}
    for name, parameter in parameters.items():
        parameter.grad = gradients[name].clone()
    norm = nn.utils.clip_grad_norm_(parameters.values(), max_norm)
    return {name: parameter.grad for name, parameter in parameters.items()} | {"norm": norm}


def clipped_by_twin(gradients: dict[str, Tensor], max_norm: float) -> dict[str, Tensor]:
    """Pascanu et al. 2013, algorithm 1, with PyTorch's 1e-6."""
    norm = math.sqrt(sum(x * x for grad in gradients.values() for x in grad.flatten().tolist()))
    scale = max_norm / (norm + 1e-6) if norm + 1e-6 >= max_norm else 1.0
    scaled = {name: gradient * scale for name, gradient in gradients.items()}
    return scaled | {"norm": torch.tensor(norm, dtype=torch.float64)}


@given(st.lists(SHAPES, min_size=1, max_size=4), st.floats(0.01, 10), SEEDS)
def test_clipping_equals_pytorch_and_its_slow_twin(
    shapes: list[tuple[int, ...]], max_norm: float, seed: int
) -> None:
    gradients = gradients_by_name(shapes, seed)
    clipped = clip_gradient_norm(gradients, max_norm=max_norm)
    seen = clipped.gradients | {"norm": clipped.norm}
    assert relative_error(seen, clipped_by_torch(gradients, max_norm)) < TOLERANCE
    assert relative_error(seen, clipped_by_twin(gradients, max_norm)) < TOLERANCE


def test_clipping_keeps_the_direction_and_leaves_what_it_is_given() -> None:
    gradients = {"weight": torch.tensor([3.0, 0.0]), "bias": torch.tensor([4.0])}
    clipped = clip_gradient_norm(gradients, max_norm=1.0)
    assert clipped.norm == 5
    torch.testing.assert_close(clipped.gradients["weight"], torch.tensor([0.6, 0.0]))
    assert gradients["bias"].tolist() == [4]


def test_gradients_of_zero_stay_zero() -> None:
    clipped = clip_gradient_norm({"weight": torch.zeros(2, 3)}, max_norm=1e-9)
    assert clipped.norm == 0
    assert not clipped.gradients["weight"].any()


def test_no_gradients_have_no_norm() -> None:
    assert clip_gradient_norm({}, max_norm=1.0) == ({}, torch.tensor(0.0))


@pytest.mark.parametrize("max_norm", [0.0, -1.0, math.nan])
def test_a_largest_norm_that_is_not_above_zero_is_refused(max_norm: float) -> None:
    with pytest.raises(ValueError, match=r"max_norm must be above 0, not"):
        clip_gradient_norm({"weight": torch.ones(2)}, max_norm=max_norm)


def each_by_its_own_norm(gradients: dict[str, Tensor], max_norm: float) -> dict[str, Tensor]:
    """The planted error: every tensor clipped for itself, so that the direction turns."""
    each = {name: clip_gradient_norm({name: x}, max_norm=max_norm) for name, x in gradients.items()}
    norm = torch.stack([clipped.norm for clipped in each.values()]).sum()
    return {name: clipped.gradients[name] for name, clipped in each.items()} | {"norm": norm}


def test_both_proofs_catch_a_planted_error_of_clipping() -> None:
    gradients = gradients_by_name([(2, 3), (4,)], seed=0)
    planted = each_by_its_own_norm(gradients, 0.5)
    assert relative_error(planted, clipped_by_torch(gradients, 0.5)) > CAUGHT
    assert relative_error(planted, clipped_by_twin(gradients, 0.5)) > CAUGHT
