"""Places in the queues, and bytes in memory."""

import pytest

from service.films.uploads import Admission
from service.problems import Overloaded


def test_a_place_is_free_again_after_use():
    admission = Admission(places=1, max_held_bytes=10)
    for _ in range(3):
        with admission.place("vgg16"):
            assert admission.taken("vgg16") == 1
    assert admission.taken("vgg16") == 0


def test_one_more_than_the_places_is_turned_away():
    admission = Admission(places=1, max_held_bytes=10)
    with admission.place("vgg16"):
        with pytest.raises(Overloaded, match="1 films are waiting"), admission.place("vgg16"):
            pass
        with admission.place("chest_cnn"):  # another queue
            pass


def test_a_film_for_all_models_takes_a_place_in_each_queue_or_in_none():
    admission = Admission(places=1, max_held_bytes=10)
    with admission.place("vgg16"):
        with pytest.raises(Overloaded), admission.place("chest_cnn", "vgg16"):
            pass
        assert admission.taken("chest_cnn") == 0


def test_a_request_that_runs_many_films_takes_as_many_places():
    admission = Admission(places=10, max_held_bytes=10)
    with admission.place("a"):
        with admission.place("a", "b", films=9):
            assert (admission.taken("a"), admission.taken("b")) == (10, 9)
        with pytest.raises(Overloaded), admission.place("a", films=10):
            pass
    assert admission.taken("a") == admission.taken("b") == 0


def test_more_films_than_places_come_in_alone():
    admission = Admission(places=2, max_held_bytes=10)
    with admission.place("a", films=26), pytest.raises(Overloaded), admission.place("a"):
        pass


def test_bytes_are_counted_over_all_requests_and_let_go_with_each():
    admission = Admission(places=2, max_held_bytes=10)
    with admission.place("a") as one:
        one.hold(6)
        with admission.place("b") as other, pytest.raises(Overloaded, match="memory"):
            other.hold(5)
        one.hold(4)
    with admission.place("a") as one:
        one.hold(10)
