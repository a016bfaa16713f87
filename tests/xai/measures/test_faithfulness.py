"""What masking shows, on films and models whose answers are known by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.card import CellCentres
from xai.measures.faithfulness import (
    RANDOM_MAPS,
    blurred,
    confidence_drop,
    curve,
    deletion_films,
    deletion_insertion,
    explanation_film,
    hottest,
    insertion_films,
    on_pixels,
    smooth_alike,
    tenth_films,
    tenth_test,
)

random = np.random.default_rng(0)
FILM = random.uniform(0, 1, (40, 60)).astype(np.float32)
FILM[:10, :10] = 1
EVIDENCE = np.zeros((4, 6), np.float32)
EVIDENCE[0, 0] = 1
MAP = on_pixels(EVIDENCE, FILM.shape, None)


def corner_brightness(films: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return two classes' probabilities; the first is the mean of the top left corner."""
    share = films[:, 0, :10, :10].mean(axis=(1, 2))
    return np.stack([share, 1 - share], axis=1)


def smoothness(values: NDArray[np.floating]) -> float:
    """Return the correlation of neighbours."""
    one = np.concatenate([values[1:].ravel(), values[:, 1:].ravel()])
    other = np.concatenate([values[:-1].ravel(), values[:, :-1].ravel()])
    return float(np.corrcoef(one, other)[0, 1])


def smooth_map(side: int = 14) -> NDArray[np.floating]:
    y, x = np.indices((side, side)) / side
    return np.exp(-((x - 0.3) ** 2 + (y - 0.6) ** 2) / 0.05) + 0.3 * np.sin(5 * x)


def test_a_random_map_has_the_values_and_the_smoothness_of_the_map():
    drawn = [smooth_alike(smooth_map(), np.random.default_rng(seed)) for seed in range(40)]
    for one in drawn:
        np.testing.assert_allclose(np.sort(one, axis=None), np.sort(smooth_map(), axis=None))
    assert np.mean([smoothness(one) for one in drawn]) == pytest.approx(
        smoothness(smooth_map()), abs=0.05
    )


def test_random_maps_have_their_peaks_everywhere():
    drawn = np.stack([smooth_alike(smooth_map(), np.random.default_rng(s)) for s in range(400)])
    quarters = drawn.mean(axis=0).reshape(2, 7, 2, 7).mean(axis=(1, 3))
    np.testing.assert_allclose(quarters, smooth_map().mean(), atol=0.05)


def test_the_hottest_tenth_is_a_tenth_to_the_pixel():
    assert hottest(on_pixels(smooth_map(), FILM.shape, None), 0.1).sum() == 240
    assert hottest(np.zeros(FILM.shape), 0.1).sum() == 240


def test_evidence_against_is_masked_last():
    order = hottest(on_pixels(np.array([[-1.0, 0.0]]), (2, 8), None), 0.5)
    assert order[:, 4:].all()


def test_masking_what_a_model_looks_at_is_faithful():
    looked_at = hottest(on_pixels(smooth_map(), FILM.shape, None), 0.1)
    film = np.where(looked_at, 1, FILM).astype(np.float32)
    found = tenth_films(film, smooth_map(), None)[:, 0, looked_at].mean(axis=1)
    test = tenth_test(1.0, found)
    assert test.masked == pytest.approx(float(np.median(film)), abs=1e-6)
    assert test.gap == pytest.approx(np.mean(found[1:]) - found[0])
    assert test.verdict == "faithful"


def test_masking_what_a_model_does_not_look_at_is_unfaithful():
    wrong = np.roll(EVIDENCE, (3, 3), axis=(0, 1))
    test = tenth_test(1.0, corner_brightness(tenth_films(FILM, wrong, None))[:, 0])
    assert (test.masked, test.verdict) == (1, "unfaithful")


def test_better_than_most_but_not_than_all_is_unclear():
    assert tenth_test(0.9, np.array([0.5, 0.4, *[0.9] * 23])).verdict == "unclear"


def test_the_same_film_gives_the_same_films_at_most_25():
    first, second = (tenth_films(FILM, EVIDENCE, None) for _ in range(2))
    assert np.array_equal(first, second)
    assert first.shape == (1 + RANDOM_MAPS, 1, 40, 60)
    assert len(first) <= 25


def test_a_rounding_error_of_the_evidence_changes_no_film_much():
    nearly = smooth_map() * (1 + 1e-6)
    differs = tenth_films(FILM, smooth_map(), None) != tenth_films(FILM, nearly, None)
    assert differs.mean() < 1e-3


def test_deletion_ends_in_an_even_film_and_insertion_in_the_film():
    deleted, inserted = (make(FILM, MAP) for make in (deletion_films, insertion_films))
    np.testing.assert_array_equal(deleted[0, 0], FILM)
    assert np.ptp(deleted[-1]) == 0
    np.testing.assert_allclose(inserted[0, 0], blurred(FILM), rtol=1e-6)
    np.testing.assert_array_equal(inserted[-1, 0], FILM)


def test_the_area_is_petsiuks_sum():
    """auc(y) = (sum(y) - y[0] / 2 - y[-1] / 2) / steps."""
    found = curve(np.array([1.0, 0.6, 0.2, 0.1]))
    assert found.area == pytest.approx((1.9 - 0.5 - 0.05) / 3, abs=1e-6)


def test_the_right_map_deletes_fast_and_inserts_fast():
    right = deletion_insertion(corner_brightness, FILM, MAP, 0)
    wrong = deletion_insertion(corner_brightness, FILM, -MAP, 0)
    assert right[0].area < wrong[0].area
    assert right[1].area > wrong[1].area


def test_a_blurred_film_is_even_where_the_film_is():
    np.testing.assert_allclose(blurred(np.full((20, 30), 0.4, np.float32)), 0.4, rtol=1e-6)
    assert np.std(blurred(FILM)) < 0.5 * np.std(FILM)


def test_the_explanation_film_is_pixels_times_heat():
    film = explanation_film(FILM, MAP - 0.5)[0, 0]
    np.testing.assert_allclose(film[:5, :5], FILM[:5, :5])
    assert not film[20:].any()


def test_average_drop_counts_losses_alone():
    assert confidence_drop(0.8, 0.2) == pytest.approx(0.75)
    assert confidence_drop(0.5, 0.6) == 0


def test_a_map_on_pixels_keeps_its_sign():
    assert on_pixels(np.array([[-2.0, 2.0]]), (1, 4), None).tolist() == [[-2, -1, 1, 2]]


def test_a_map_on_pixels_has_its_cells_where_the_card_says():
    cells = CellCentres(origin=(0.5, 0.5), step=(1, 2))
    assert on_pixels(np.array([[-2.0, 2.0]]), (1, 4), cells).tolist() == [[-2, 0, 2, 2]]


def test_the_tenth_that_is_masked_lies_where_the_card_says():
    hot = np.roll(EVIDENCE, (1, 2), axis=(0, 1))
    cells = CellCentres(origin=(0.5, 5.5), step=(10, 10))
    film = tenth_films(FILM, hot, cells)[0, 0]
    masked_pixels = np.argwhere(film != FILM) + 0.5
    assert masked_pixels.mean(axis=0) == pytest.approx((10.5, 25.5), abs=0.5)
