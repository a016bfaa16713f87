"""The argument `--model`, which several commands share."""

import argparse
from pathlib import Path

from service.inference.registry import open_explainers
from service.settings import read_settings
from xai.explainer import Explainer


def add_model_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--model`, which the verbs that examine a film share."""
    parser.add_argument(
        "--model",
        metavar="NAME|FILE",
        help="one of our own by name, or an exported model (default: our own default)",
    )


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
