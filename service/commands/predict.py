"""Print the findings of films, one line of JSON each: `cxr predict`."""

import argparse
import json
import sys
from pathlib import Path

from models.film_files.errors import RadiographError
from service.answers.film_answer import answer_film
from service.commands.model_argument import add_model_argument, asked_explainer
from service.problems import file_error
from xai.explainer import Explainer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "films", nargs="+", type=Path, metavar="FILE", help="PNG, JPEG, TIFF, DICOM"
    )
    add_model_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print one line per film; the exit status is 1 if any of them can't be used.

    Raises:
        OSError: The model can't be read.
        ValueError: It is not an exported model, or not a sound one.
    """
    explainer = asked_explainer(arguments)
    failed = False
    for path in arguments.films:
        answer = _answer(explainer, path)
        failed |= "error" in answer
        sys.stdout.write(json.dumps({"file": str(path)} | answer, allow_nan=False) + "\n")
        sys.stdout.flush()
    return int(failed)


def _answer(explainer: Explainer, path: Path) -> dict[str, object]:
    try:
        return answer_film(explainer, path.read_bytes()).prediction().model_dump(mode="json")
    except (RadiographError, OSError) as error:
        return {"error": file_error(error).model_dump()}
