"""Add and read the argument `--model`, which several verbs share."""

import argparse
from pathlib import Path

from service.inference.registry import open_explainers
from service.settings import read_settings
from xai.explainer import Explainer


def add_model_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--model` to a verb that examines films."""
    parser.add_argument(
        "--model",
        metavar="NAME|FILE",
        help="a built-in model's name, or an exported model's file (default: the server's)",
    )


def asked_explainer(arguments: argparse.Namespace) -> Explainer:
    """Return the model that `--model` names, or the server's default one.

    Raises:
        OSError: It can't be read.
        ValueError: It is neither a file nor a built-in model, or the model is not sound.
    """
    asked = arguments.model
    if asked and Path(asked).exists():
        return Explainer(Path(asked))
    own = open_explainers(read_settings())
    if asked not in (None, *own):
        raise ValueError(f"--model must be a file or one of {', '.join(own)}, not {asked!r}")
    return own[asked or next(iter(own))]
