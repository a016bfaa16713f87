"""`cxr predict`: the findings of films, a line of JSON each."""

import argparse
import json
import sys
from pathlib import Path

from models.film_errors import RadiographError
from service.examination import examine
from service.problems import file_error
from service.registry import open_explainers
from service.settings import read_settings
from xai.explainer import Explainer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "films", nargs="+", type=Path, metavar="FILE", help="PNG, JPEG, TIFF, DICOM"
    )
    add_model_argument(parser)


def add_model_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--model`, which the verbs that examine a film share."""
    parser.add_argument(
        "--model",
        metavar="NAME|FILE",
        help="one of our own by name, or an exported model (default: our own default)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print one line per film; the exit status is 1 if any of them can't be used.

    Raises:
        OSError: The model can't be read.
        ValueError: It is no exported model, or not a sound one.
    """
    explainer = asked_explainer(arguments)
    failed = False
    for path in arguments.films:
        answer = _answer(explainer, path)
        failed |= "error" in answer
        sys.stdout.write(json.dumps({"file": str(path)} | answer, allow_nan=False) + "\n")
        sys.stdout.flush()
    return int(failed)


def asked_explainer(arguments: argparse.Namespace) -> Explainer:
    """Return the model that `--model` names, or the server's default one.

    Raises:
        OSError: It can't be read.
        ValueError: It is neither a file nor one of our own, or not a sound model.
    """
    asked = arguments.model
    if asked and Path(asked).exists():
        return Explainer(Path(asked))
    own = open_explainers(read_settings())
    if asked not in (None, *own):
        raise ValueError(f"--model must be a file or one of {', '.join(own)}, not {asked!r}")
    return own[asked or next(iter(own))]


def _answer(explainer: Explainer, path: Path) -> dict[str, object]:
    try:
        return examine(explainer, path.read_bytes()).prediction().model_dump(mode="json")
    except (RadiographError, OSError) as error:
        return {"error": file_error(error).model_dump()}
