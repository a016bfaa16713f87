import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from models.backprop.attention import (
    attention_backward,
    attention_forward,
    attention_probabilities,
    masking_scores,
    merge_heads,
    split_heads,
)
from tests.models.backprop import proofs
from tests.models.backprop.errors import Tensors
from tests.models.backprop.proofs import Layer, draw


def gradients(
    grad_out: Tensor, *, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> Tensors:
    grads = attention_backward(grad_out, query, key, value, mask)
    return {"query": grads.grad_query, "key": grads.grad_key, "value": grads.grad_value}


def twin(
    grad_out: Tensor, *, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> Tensors:
    """Each probability is differentiated by each score: p_j * (1[j = m] - p_m), one by one."""
    grads = {name: torch.zeros_like(x) for name, x in (("query", query), ("key", key))}
    grads["value"] = torch.zeros_like(value)
    keys, scale = key.shape[2], 1 / math.sqrt(query.shape[3])
    for film, head, asking in torch.cartesian_prod(*map(torch.arange, query.shape[:3])).tolist():
        place = (film, head)
        powers = [
            (1.0 if mask is None else float(mask[film, j]))
            * math.exp(scale * float(query[place][asking] @ key[place][j]))
            for j in range(keys)
        ]
        p = [power / sum(powers) for power in powers]
        for j in range(keys):
            grads["value"][place][j] += p[j] * grad_out[place][asking]
            grad_p = float(grad_out[place][asking] @ value[place][j])
            for m in range(keys):
                grad_score = grad_p * p[j] * ((j == m) - p[m]) * scale
                grads["query"][place][asking] += grad_score * key[place][m]
                grads["key"][place][m] += grad_score * query[place][asking]
    return grads


def attention(
    *,
    batch: int = 2,
    heads: int = 2,
    queries: int = 3,
    keys: int = 4,
    width: int = 3,
    value_width: int = 2,
    seed: int = 0,
) -> Layer:
    return Layer(
        inputs={
            "query": draw(batch, heads, queries, width, seed=seed),
            "key": draw(batch, heads, keys, width, seed=seed + 1),
            "value": draw(batch, heads, keys, value_width, seed=seed + 2),
        },
        forward=attention_forward,
        backward=gradients,
        reference=functional.scaled_dot_product_attention,
        twin=twin,
    )


MASK = torch.tensor([[1, 0, 0.3, 1e-30], [1, 1, 0, 0]], dtype=torch.float64)


def masked_attention() -> Layer:
    plain = attention()

    def reference(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[3])
        weights = MASK[:, None, None] * torch.exp(scores)
        return (weights / weights.sum(dim=-1, keepdim=True)) @ value

    return Layer(
        inputs=plain.inputs,
        forward=partial(attention_forward, mask=MASK),
        backward=partial(gradients, mask=MASK),
        reference=reference,
        twin=partial(twin, mask=MASK),
    )


def test_masked_attention_is_right_forward_and_by_all_proofs() -> None:
    layer = masked_attention()
    assert proofs.error_of_forward(layer) < proofs.TOLERANCE
    assert proofs.error_against_autograd(layer) < proofs.TOLERANCE
    assert proofs.error_against_twin(layer) < proofs.TOLERANCE
    error = proofs.error_against_finite_differences(layer)
    assert error < proofs.FINITE_DIFFERENCE_TOLERANCE


def test_a_mask_that_the_backward_pass_forgets_is_caught() -> None:
    assert proofs.least_error_seen(masked_attention(), gradients) > proofs.CAUGHT


def test_a_masked_key_gets_exactly_nothing_however_high_it_scores() -> None:
    query, key = draw(2, 1, 1, 3, seed=0).float(), draw(2, 1, 4, 3, seed=1).float()
    key[0, :, 1] = 1e4 * query[0, :, 0]
    probabilities = attention_probabilities(query, key, MASK.float())
    assert probabilities.isfinite().all()
    assert (probabilities.squeeze()[MASK == 0] == 0).all()
    torch.testing.assert_close(probabilities.sum(dim=-1), torch.ones(2, 1, 1))


def test_a_derivative_by_the_mask_is_finite() -> None:
    mask = MASK[:, :3].clone().requires_grad_()
    query, key = draw(2, 1, 1, 3, seed=0), draw(2, 1, 3, 3, seed=1)
    attention_probabilities(query, key, mask)[..., 0].sum().backward()
    assert mask.grad is not None
    assert mask.grad.isfinite().all()
    assert masking_scores(MASK)[0, 0, 0, 1] == -torch.inf


@given(
    batch=st.integers(1, 3),
    heads=st.integers(1, 3),
    queries=st.integers(1, 4),
    keys=st.integers(2, 5),
    width=st.integers(1, 4),
    value_width=st.integers(1, 4),
    seed=st.integers(0, 999),
)
def test_attention_equals_pytorch_forward_and_backward(**sizes: int) -> None:
    layer = attention(**sizes)
    assert proofs.error_of_forward(layer) < proofs.TOLERANCE
    assert proofs.error_against_autograd(layer) < proofs.TOLERANCE


def test_attention_equals_finite_differences() -> None:
    error = proofs.error_against_finite_differences(attention())
    assert error < proofs.FINITE_DIFFERENCE_TOLERANCE


def test_attention_equals_its_slow_twin() -> None:
    assert proofs.error_against_twin(attention()) < proofs.TOLERANCE


def test_a_single_key_gets_all_attention_and_no_gradient() -> None:
    grad = gradients(
        draw(1, 1, 2, 2, seed=5), **attention(batch=1, heads=1, queries=2, keys=1).inputs
    )
    assert grad["key"].abs().max() == 0
    assert grad["query"].abs().max() == 0


def test_probabilities_of_a_query_sum_to_one_even_for_huge_scores() -> None:
    probabilities = attention_probabilities(
        1e3 * draw(1, 2, 3, 4, seed=0), draw(1, 2, 5, 4, seed=1)
    )
    torch.testing.assert_close(probabilities.sum(dim=-1), torch.ones(1, 2, 3, dtype=torch.float64))


def test_a_shift_of_all_keys_changes_nothing() -> None:
    """So the gradient of the keys' bias is zero by mathematics."""
    grads = attention_backward(draw(2, 2, 3, 2, seed=9), **attention().inputs)
    shift = grads.grad_key.sum(dim=2)
    torch.testing.assert_close(shift, torch.zeros_like(shift))


def test_heads_are_merged_as_they_were_split() -> None:
    x = draw(2, 3, 8, seed=0)
    assert torch.equal(merge_heads(split_heads(x, heads=4)), x)
    assert torch.equal(split_heads(x, heads=4)[:, 1], x[:, :, 2:4])


def scale_forgotten(grad_out: Tensor, *, query: Tensor, key: Tensor, value: Tensor) -> Tensors:
    right = gradients(grad_out, query=query, key=key, value=value)
    scale = query.shape[-1] ** -0.5
    return right | {"query": right["query"] / scale, "key": right["key"] / scale}


def softmax_passed_through(
    grad_out: Tensor, *, query: Tensor, key: Tensor, value: Tensor
) -> Tensors:
    """The probabilities' derivative without the sum that keeps them at 1 together."""
    p = attention_probabilities(query, key)
    grad_scores = p * (grad_out @ value.transpose(-2, -1)) * query.shape[-1] ** -0.5
    right = gradients(grad_out, query=query, key=key, value=value)
    return right | {"query": grad_scores @ key}


def query_and_key_exchanged(grad_out: Tensor, **given: Tensor) -> Tensors:
    right = gradients(grad_out, **given)
    return right | {"key": right["key"].flip(2)}


@pytest.mark.parametrize(
    "wrong", [scale_forgotten, softmax_passed_through, query_and_key_exchanged]
)
def test_every_proof_catches_a_planted_error(wrong: Callable[..., Tensors]) -> None:
    assert proofs.least_error_seen(attention(), wrong) > proofs.CAUGHT
