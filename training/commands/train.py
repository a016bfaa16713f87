"""Train a network as a configuration file says: `cxr train`."""

import argparse
from pathlib import Path

import torch

from training.config import Config, read_config
from training.fitting.run_folder import RunFolder
from training.fitting.train import say, train
from training.step.distributed import process_group


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cxr train`."""
    add_start_arguments(parser)
    parser.add_argument(
        "--run", type=Path, help="run folder, default artifacts/NAME-VERSION; resumed if it exists"
    )


def add_start_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of every command that trains."""
    parser.add_argument("config", type=Path, help="TOML file, see training/configs/")
    parser.add_argument("--manifest", type=Path, help="instead of the config's manifest")
    parser.add_argument(
        "--weights",
        type=Path,
        help="safetensors file to start from (timm's or torchvision's names); needs --mean, --std",
    )
    for name, what in (("mean", "subtracts from"), ("std", "divides")):
        parser.add_argument(
            f"--{name}",
            type=float,
            nargs=3,
            metavar=("RED", "GREEN", "BLUE"),
            help=f"what the publisher of the weights {what} the colours in [0, 1]",
        )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")


def run(arguments: argparse.Namespace) -> int:
    """Train, and print where the result is; exit code 0."""
    config = with_arguments(read_config(arguments.config), arguments)
    folder = RunFolder(arguments.run or Path("artifacts") / f"{config.name}-{config.version}")
    with process_group(arguments.device) as device:
        train(config, folder, device=device)
        say(f"best weights: {folder.best}; next: cxr export {folder.path}")
    return 0


def with_arguments(config: Config, arguments: argparse.Namespace) -> Config:
    """Return the config, changed by the command line."""
    given = {name: getattr(arguments, name) for name in ("weights", "mean", "std")}
    network = {name: value for name, value in given.items() if value is not None}
    if network:
        network |= {"pretrained": False}
    data = {"manifest": arguments.manifest} if arguments.manifest else {}
    changed = {
        "network": config.network.model_dump() | network,
        "data": config.data.model_dump() | data,
    }
    return Config.model_validate(config.model_dump() | changed)
