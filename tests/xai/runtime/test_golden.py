"""The golden answer, repeated well and badly; `tests.tiny_model` knows it by hand."""

import base64
from collections.abc import Callable

import numpy as np
import pytest

from tests.support.tiny_model import card, golden, picture, quadrants
from xai.runtime.golden import Floats, check_golden, correlation, golden_pixels

CARD = card()
OUTPUTS = ("logits", "probabilities", "evidence", "distance")
Run = Callable[[Floats], dict[str, Floats]]


def run_with(change: Callable[[str, Floats, int], Floats]) -> Run:
    """Return a runtime that repeats the golden answer but for a change of (name, value, batch)."""

    def run(pixels: Floats) -> dict[str, Floats]:
        batch = len(pixels)
        values = {name: np.asarray(getattr(golden(), name), np.float32) for name in OUTPUTS}
        return {
            name: np.stack([change(name, value, batch)] * batch) for name, value in values.items()
        }

    return run


def scaled(output: str, factor: float) -> Run:
    return run_with(lambda name, value, _: value * np.float32(factor if name == output else 1))


def noisy(_: str, value: Floats, __: int) -> Floats:
    """Return evidence within its tolerance, but noisy."""
    if value.ndim < 3:
        return value
    noise = np.random.default_rng(0).choice([-1, 1], value.shape)
    return value + np.float32(0.24 * np.abs(value).max()) * noise.astype(np.float32)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_golden_answer_itself_passes(precision):
    check_golden(scaled("logits", 1), CARD, precision=precision, batches=(1, 3))


@pytest.mark.parametrize("output", OUTPUTS)
def test_what_bfloat16_may_deviate_is_refused_in_float32(output: str):
    almost = scaled(output, 1.008)
    check_golden(almost, CARD, precision="bfloat16")
    with pytest.raises(ValueError, match=f"golden {output} not reproduced: off by"):
        check_golden(almost, CARD, precision="float32")


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_output_that_deviates_is_refused(output: str, precision):
    with pytest.raises(ValueError, match=f"golden {output} not reproduced: off by"):
        check_golden(scaled(output, 1.3), CARD, precision=precision)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_output_that_is_no_number_is_refused(precision):
    with pytest.raises(ValueError, match="golden logits not reproduced: off by nan"):
        check_golden(scaled("logits", np.nan), CARD, precision=precision)


def test_evidence_in_bfloat16_must_have_the_golden_evidence_s_shape():
    with pytest.raises(ValueError, match=r"correlates by 0\.9\d\d, needed is 0\.98"):
        check_golden(run_with(noisy), CARD, precision="bfloat16")


def test_a_runtime_that_errs_with_several_films_only_is_refused():
    errs = run_with(lambda _, value, batch: value * np.float32(1 if batch == 1 else 1.2))
    check_golden(errs, CARD, batches=(1,))
    with pytest.raises(ValueError, match="golden logits not reproduced"):
        check_golden(errs, CARD, batches=(1, 2))


def test_correlation_is_pearsons_and_none_where_a_map_is_flat():
    one, other = np.random.default_rng(0).random((2, 3, 7)).astype(np.float32)
    expected = np.corrcoef(one.ravel(), other.ravel())[0, 1]
    assert correlation(one, other) == pytest.approx(expected, abs=1e-6)
    assert correlation(np.ones_like(one), other) == 0


@pytest.mark.parametrize("pixels_png", ["no base64!", base64.b64encode(b"no PNG").decode()])
def test_golden_pixels_that_are_no_png_are_refused(pixels_png: str):
    changed = golden().model_copy(update={"pixels_png": pixels_png})
    with pytest.raises(ValueError, match="is not a base64 PNG"):
        golden_pixels(changed, CARD.image_size)


def test_golden_pixels_of_another_size_are_refused():
    png = base64.b64encode(picture(quadrants([0.1, 0.5, 0.9, 0.3]).T)).decode()
    changed = golden().model_copy(update={"pixels_png": png})
    with pytest.raises(ValueError, match=r"golden.pixels_png must be 8-bit grey of size \(32, 48"):
        golden_pixels(changed, CARD.image_size)
