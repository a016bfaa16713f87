"""Score the parts that one worker process gets, and write each to disk."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from service.batch.parts import ScoredParts
from service.batch.scoring import Row, lost_row, score_films
from xai.explainer import Explainer


class Work(NamedTuple):
    """Settings of every worker; paths are absolute, and the same on every machine.

    Attributes:
        model: The model's file.
        model_sha256: Its hash.
        threads: CPU threads of one run.
        batch_size: Films decoded, and then run, together.
        folder: Folder that the films' paths are relative to.
        parts: Folder that rows are written to.
    """

    model: Path
    model_sha256: str
    threads: int
    batch_size: int
    folder: Path
    parts: ScoredParts


class PartScorer:
    """Score parts with one model; a part whose worker was killed is scored again film by film.

    So a film that ends its worker (a decoder crashes, memory runs out) does so twice, and then gets
    a row that says so.
    """

    def __init__(self, work: Work) -> None:
        """Load the model.

        Raises:
            OSError: It can't be read on this machine.
            ValueError: It is another file here than where the run was started.
        """
        self._work = work
        self._explainer = Explainer(work.model, threads=work.threads)
        if self._explainer.sha256 != work.model_sha256:
            raise ValueError("the model's file is not the same on every machine")

    def __call__(self, number: int, films: Sequence[str]) -> list[Row]:
        """Score a part, write it, and return its rows.

        Raises:
            OSError: It can't be written.
        """
        parts = self._work.parts
        fatal = parts.fatal_films(number)
        if fatal is None:
            parts.begin(number)
            rows = self._scored(films)
        else:
            rows = self._scored_one_by_one(number, films, fatal)
        parts.write(number, rows)
        return rows

    def _scored(self, films: Sequence[str]) -> list[Row]:
        return score_films(
            self._explainer, self._work.folder, films, batch_size=self._work.batch_size
        )

    def _scored_one_by_one(
        self, number: int, films: Sequence[str], fatal: frozenset[str]
    ) -> list[Row]:
        rows = []
        for film in films:
            if film in fatal:
                rows.append(lost_row(self._explainer, film))
            else:
                self._work.parts.begin(number, fatal | {film})
                rows += self._scored([film])
        return rows
