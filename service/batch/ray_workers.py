"""Score many films with Ray Data: worker processes hold the model and score part after part."""

import logging
import os
import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from service.batch.worker import PartScorer, Work
from xai.runtime.processors import available_cpus

OBJECT_STORE_BYTES = 128 * 2**20
"""Enough, since only paths are sent; by default Ray takes a third of the memory."""

CONNECT_TIMEOUT_SECONDS = 10

QUIET_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DATA_LOG_LEVEL": "CRITICAL",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # Ray's future default, of which it warns
}
LOCAL_ENVIRONMENT = {
    # Ray's own switch for macOS and Windows: without it Ray listens on the network.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
}


class Part(NamedTuple):
    """Films that one worker scores and writes together."""

    number: int
    films: tuple[str, ...]


class ScoredPart(NamedTuple):
    """Number of films in a part, and number of those that can't be used."""

    films: int
    errors: int


class Worker:
    """Score parts in a process of Ray's, which starts another one where a process was killed.

    Errors are returned: Ray would wrap one that is raised in pages of its own traceback.
    """

    def __init__(self, work: Work) -> None:
        self._work = work

    def __call__(self, part: dict[str, Any]) -> dict[str, Any]:
        """Score a part; return how many films and errors it has, or why it failed."""
        try:
            rows = self._score(part["number"], [os.fsdecode(film) for film in part["films"]])
        except (OSError, ValueError) as error:
            return {"films": 0, "errors": 0, "failure": str(error)}
        errors = sum("error_type" in row for row in rows)
        return {"films": len(rows), "errors": errors, "failure": ""}

    @cached_property
    def _score(self) -> PartScorer:
        return PartScorer(self._work)


def score_parts(
    work: Work, parts: Sequence[Part], *, workers: int | None = None, address: str | None = None
) -> Iterator[ScoredPart]:
    """Score parts in parallel, and yield each when it is written.

    Args:
        work: Settings of the workers.
        parts: The parts to score.
        workers: Processes; None is as many as there are CPUs for.
        address: Of a Ray cluster; None is this machine alone.

    Raises:
        ValueError: There is no cluster at the address, or a worker failed; the message says why.
    """
    if address is not None:
        _check_reachable(address)
    cpus = max(available_cpus(), work.threads) if workers is None else workers * work.threads
    with _ray_running(address, cpus) as cpus:
        workers = workers or max(1, cpus // work.threads)
        yield from _scored(work, parts, min(workers, len(parts)))


def _check_reachable(address: str) -> None:
    """Raise ValueError if nothing listens there; Ray itself would try for half an hour."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise ValueError(
            f"--address must be HOST:PORT of a running Ray cluster, not {address!r}; "
            "`ray start --head` prints it"
        ) from error


def _scored(work: Work, parts: Sequence[Part], workers: int) -> Iterator[ScoredPart]:
    from ray import data
    from ray.exceptions import RayError

    data.DataContext.get_current().enable_progress_bars = False
    scored = data.from_items(_rows(parts), override_num_blocks=len(parts)).map(
        Worker,  # type: ignore[arg-type]
        fn_constructor_args=(work,),
        compute=data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
        num_cpus=work.threads,
    )
    try:
        for part in scored.iter_rows():
            if part["failure"]:
                raise ValueError(f"a worker failed: {part['failure']}")
            yield ScoredPart(part["films"], part["errors"])
    except RayError as error:
        raise ValueError(f"Ray failed: {error}") from error


def _rows(parts: Sequence[Part]) -> list[dict[str, object]]:
    # Bytes: Arrow's strings are UTF-8, and paths need not be.
    return [
        {"number": part.number, "films": [os.fsencode(film) for film in part.films]}
        for part in parts
    ]


@contextmanager
def _ray_running(address: str | None, cpus: int) -> Iterator[int]:
    """Connect to a cluster, or run one that only this user on this machine can reach.

    Yields:
        The cluster's number of CPUs.
    """
    os.environ.update(QUIET_ENVIRONMENT)
    if address is None:
        os.environ.update(LOCAL_ENVIRONMENT | {"RAY_AUTH_TOKEN": secrets.token_hex(32)})
    import ray  # only now: it reads the environment when it is imported

    with TemporaryDirectory(prefix="cxr-ray-", ignore_cleanup_errors=True) as folder:
        local: dict[str, Any] = {
            "num_cpus": cpus,
            "object_store_memory": OBJECT_STORE_BYTES,
            "include_dashboard": False,
            "_temp_dir": folder,
        }
        try:
            ray.init(
                address or "local",
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                **({} if address else local),
            )
            yield int(ray.cluster_resources()["CPU"])  # type: ignore[no-untyped-call]
        finally:
            ray.shutdown()
