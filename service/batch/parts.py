"""Store the results of an unfinished run as parts, in a folder beside the result.

A part is written as a whole or not at all, so a run that is killed loses no finished part and
stores none twice.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from service.batch.scoring import Row

PARTS_IN_ROW_GROUP = 1000


class Run(BaseModel):
    """Identity of a run: parts of a run with another model, films or part size do not fit.

    Attributes:
        model_sha256: Hash of the model's file.
        films_sha256: Hash of the list of films.
        part_size: Films in a part.
    """

    model_sha256: str
    films_sha256: str
    part_size: int

    @classmethod
    def of(cls, model_sha256: str, films: Sequence[str], part_size: int) -> "Run":
        """Return the run of a model over films."""
        listed = hashlib.sha256(b"\0".join(os.fsencode(film) for film in films))
        return cls(model_sha256=model_sha256, films_sha256=listed.hexdigest(), part_size=part_size)


class ScoredParts(NamedTuple):
    """A folder of parts, and what gives their columns; may be sent to other processes.

    Attributes:
        folder: Where the parts are.
        class_names: The classes of the model.
        group_names: Its groups of classes.
    """

    folder: Path
    class_names: tuple[str, ...]
    group_names: tuple[str, ...] = ()

    def file(self, number: int) -> Path:
        """Return the file of a part, which need not exist yet."""
        return self.folder / f"{number:08}.parquet"

    def write(self, number: int, rows: Sequence[Row]) -> None:
        """Write a part.

        Raises:
            OSError: It can't be written; it is absent then.
        """
        table = pa.Table.from_pylist(list(rows), schema=self._schema())
        with _whole(self.file(number)) as file:
            pq.write_table(table, file)

    def begin(self, number: int, fatal: Collection[str] = ()) -> None:
        """Note on disk that a part is being scored.

        Args:
            number: The part.
            fatal: Films to blame if this worker dies before it writes the part.
        """
        with _whole(self._begun(number)) as file:
            file.write(json.dumps(sorted(fatal)).encode())  # a path that is no UTF-8 too

    def fatal_films(self, number: int) -> frozenset[str] | None:
        """Return the films that have ended a worker; None if the part was never begun."""
        begun = self._begun(number)
        return frozenset(json.loads(begun.read_bytes())) if begun.exists() else None

    def _begun(self, number: int) -> Path:
        return self.folder / f"{number:08}.begun"

    def join(self, parts: int, result: Path) -> None:
        """Join all parts into one file.

        Args:
            parts: How many there are.
            result: The file; an older one is replaced.

        Raises:
            OSError: It can't be written; the parts stay then.
        """
        schema = self._schema()
        with _whole(result) as file, pq.ParquetWriter(file, schema) as writer:
            for first in range(0, parts, PARTS_IN_ROW_GROUP):
                numbers = range(first, min(parts, first + PARTS_IN_ROW_GROUP))
                writer.write_table(pa.concat_tables(self._table(number) for number in numbers))

    def _schema(self) -> pa.Schema:
        return _schema(self.class_names, self.group_names)

    def _table(self, number: int) -> pa.Table:
        # Without partitioning, or a folder called `year=2024` would become a column.
        return pq.read_table(self.file(number), partitioning=None)


@contextmanager
def open_parts(
    folder: Path, run: Run, class_names: Sequence[str], group_names: Sequence[str] = ()
) -> Iterator[ScoredParts]:
    """Open the folder of a run's parts, made if it is absent, and lock it against other processes.

    Raises:
        OSError: It can't be made.
        ValueError: Another process has it open, or its parts are of another run.
    """
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("ab") as lock:
        try:
            fcntl.flock(
                lock, fcntl.LOCK_EX | fcntl.LOCK_NB
            )  # released when the process ends, killed or not
        except BlockingIOError:
            raise ValueError(f"{folder} is being written by another `cxr batch`") from None
        _check_same_run(folder, run)
        for begun in folder.glob("*.begun"):  # its worker ended with the whole run
            begun.unlink()
        yield ScoredParts(folder, tuple(class_names), tuple(group_names))


def _check_same_run(folder: Path, run: Run) -> None:
    file = folder / "run.json"
    if not file.exists():
        with _whole(file) as opened:
            opened.write(run.model_dump_json().encode())
    begun = Run.model_validate_json(file.read_bytes())
    differing = [name for name, value in run if getattr(begun, name) != value]
    if differing:
        seen = ", ".join(
            f"{name} {getattr(begun, name)}, now {getattr(run, name)}" for name in differing
        )
        raise ValueError(
            f"{folder} holds the parts of another run ({seen}): "
            "repeat that one, choose another --out, or remove the folder to start again"
        )


@contextmanager
def _whole(file: Path) -> Iterator[IO[bytes]]:
    """Open a file that gets its name only when it is complete and flushed to disk."""
    unfinished = file.with_name(f"{file.name}.{uuid4().hex}.unfinished")
    try:
        with unfinished.open("wb") as opened:
            yield opened
            opened.flush()
            os.fsync(opened.fileno())
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def _schema(class_names: Sequence[str], group_names: Sequence[str]) -> pa.Schema:
    """Return the columns of a result; all but `path` and the model's may be null."""
    asked = [
        (f"{kind}:{name}", pa.bool_() if kind == "decision" else pa.float32())
        for names, own in ((class_names, "logit"), (group_names, "log_odds"))
        for kind in ("probability", own, "decision")
        for name in names
    ]
    return pa.schema(
        [
            ("path", pa.string()),
            ("sha256", pa.string()),
            ("model_name", pa.string()),
            ("model_version", pa.string()),
            ("model_sha256", pa.string()),
            ("format", pa.string()),
            ("rows", pa.int32()),
            ("columns", pa.int32()),
            *asked,
            ("distance", pa.float32()),
            ("novelty", pa.float32()),
            ("in_distribution", pa.bool_()),
            ("refusals", pa.list_(pa.string())),
            ("is_confident", pa.bool_()),
            ("is_decided", pa.bool_()),
            ("prediction_set", pa.list_(pa.string())),
            ("predicted_class", pa.string()),
            ("most_probable_class", pa.string()),
            ("error_type", pa.string()),
            ("error_status", pa.int16()),
            ("error_detail", pa.string()),
        ]
    )
