"""Who is let in: a bounded number of films, and of bytes, at the same time."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from service.problems import Overloaded

NO_MODEL = ""
"""The queue of films that only want to be seen."""


class Admission:
    """Places for films, so many for each queue, and one allowance of bytes for all of them.

    Used on the event loop alone, so that nothing needs a lock.

    Attributes:
        held_bytes: How many bytes are in memory now.
    """

    def __init__(self, *, places: int, max_held_bytes: int) -> None:
        """Let nobody in yet.

        Args:
            places: Films of one queue that are read, waiting or examined.
            max_held_bytes: Bytes of request bodies in memory.
        """
        self._places, self._max_held_bytes = places, max_held_bytes
        self._taken: Counter[str] = Counter()
        self.held_bytes = 0

    @contextmanager
    def place(self, *queues: str, films: int = 1) -> Iterator["Held"]:
        """Give places in each queue, and give them back with every byte held meanwhile.

        Args:
            queues: Of the models that are asked.
            films: How many are run in each. More than there are places come in alone.

        Raises:
            Overloaded: The places of one of them do not suffice.
        """
        queues = queues or (NO_MODEL,)
        if any(self._taken[one] and self._taken[one] + films > self._places for one in queues):
            raise Overloaded(f"{self._places} films are waiting already; send this one later.")
        self._taken.update(queues * films)
        held = Held(self)
        try:
            yield held
        finally:
            self._taken.subtract(queues * films)
            self.held_bytes -= held.count

    def hold(self, count: int) -> None:
        """Count bytes that are now in memory.

        Raises:
            Overloaded: They would be more than allowed; they are not counted then.
        """
        if self.held_bytes + count > self._max_held_bytes:
            raise Overloaded("The films that are waiting already fill the memory allowed for them.")
        self.held_bytes += count

    def taken(self, queue: str) -> int:
        """Return how many places of a queue are taken."""
        return self._taken[queue]


class Held:
    """The bytes that one request keeps in memory."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.count = 0

    def hold(self, count: int) -> None:
        """Count `count` bytes more.

        Raises:
            Overloaded: All requests together would hold more than allowed.
        """
        self._admission.hold(count)
        self.count += count
