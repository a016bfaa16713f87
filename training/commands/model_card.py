"""Write the card inside a model as a Markdown page: `cxr model-card`."""

import argparse
import sys
from pathlib import Path

from training.export.model_card_page import write_page
from xai.explainer import Explainer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cxr model-card`."""
    parser.add_argument("models", nargs="+", type=Path, help="ONNX files of `cxr export`")


def run(arguments: argparse.Namespace) -> int:
    """Write the page of each model beside it; exit code 0."""
    for model in arguments.models:
        sys.stdout.write(f"written: {write_page(Explainer(model).card, model)}\n")
    return 0
