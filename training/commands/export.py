"""Export a training run as one ONNX file, or a lung field as a folder: `cxr export`."""

import argparse
import sys
from pathlib import Path
from typing import get_args

from models.card import ExplanationMethod, Storage
from training.export.export import export
from training.export.lung_field import is_lung_field, pack_lung_field
from training.fitting.run_folder import RunFolder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cxr export`."""
    parser.add_argument("run", type=Path, help="folder that `cxr train` wrote")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="ONNX file to write; of a lung field, a folder",
    )
    parser.add_argument("--manifest", type=Path, help="instead of the run's manifest")
    parser.add_argument(
        "--test", action="store_true", help="put the figures on the test split into the card"
    )
    parser.add_argument(
        "--storage",
        choices=get_args(Storage),
        default="float32",
        help="how large weights are stored; they are float32 again once the file is loaded",
    )
    parser.add_argument(
        "--method",
        choices=get_args(ExplanationMethod),
        default="grad_cam",
        help="how the file finds evidence; legrad only of a vit_b16 that reads its class token",
    )


def run(arguments: argparse.Namespace) -> int:
    """Export and print how far ONNX Runtime's answers are from PyTorch's; exit code 0."""
    folder = RunFolder(arguments.run)
    if is_lung_field(folder):
        sys.stdout.write(pack_lung_field(folder, arguments.output) + "\n")
        return 0
    report = export(
        folder,
        arguments.output,
        manifest=arguments.manifest,
        with_test=arguments.test,
        storage=arguments.storage,
        method=arguments.method,
    )
    sys.stdout.write(report + "\n")
    return 0
