"""Run the command line `cxr VERB`: find the verb's module, parse its arguments, run it.

A verb's module is imported only when that verb is used, so the server's verbs need none of the
training packages. Each such module offers `add_arguments(parser)` and `run(arguments)`.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple


class Verb(NamedTuple):
    """A verb of `cxr`: the package that holds its module, and its help text."""

    package: str
    help: str


VERBS = {
    "serve": Verb("service", "run the server and the viewer"),
    "key": Verb("service", "make an API key for the server"),
    "predict": Verb("service", "print the findings of films, one line of JSON each"),
    "explain": Verb("service", "write a film with the evidence painted over it"),
    "watch": Verb("service", "receive chest films over DICOM and send the answers back"),
    "batch": Verb("service", "score many films into a Parquet file, one row each"),
    "train": Verb("training", "train a network from a configuration file"),
    "evaluate": Verb("training", "measure exported models on the films of a manifest"),
    "audit": Verb("training", "look for shortcuts that an exported model has learnt"),
    "localise": Verb("training", "measure how well maps agree with marked findings"),
    "faithfulness": Verb("training", "measure whether a model uses what its maps show"),
    "refusal": Verb("training", "measure which damaged films and other images a model refuses"),
    "trust": Verb("training", "test whether maps depend on what the model has learnt"),
    "export": Verb("training", "export a training run as one ONNX file"),
    "ensemble": Verb("training", "let several exported models answer together"),
    "model-card": Verb("training", "write the card inside a model as a Markdown page"),
    "verify-backprop": Verb("training", "compare the hand-written gradients with autograd's"),
    "prepare": Verb("training", "make a manifest from a collection of films, or check one"),
    "lung-field": Verb("training", "measure lung outlines: how near to masks, and what they tell"),
    "leave-out": Verb("training", "measure a recipe on origins left out of its training"),
    "novelty": Verb("training", "measure whether novelty tells films of origins never seen"),
    "phantom": Verb("training", "draw synthetic films to train and test on"),
}
OURS = {"models", "xai", "training", "service"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status: 0 success, 1 failure, 2 wrong usage, 130 stopped."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        return _run(argv)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in OURS or not _needs_training(argv):
            raise
        print(f"cxr {argv[0]}: {_remedy(package)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"cxr {argv[0]}: stopped", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:  # the user's input is at fault, and the message says why
        print(f"cxr {argv[0]}: {error}", file=sys.stderr)
        return 1


def _run(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="cxr", description="Explainable chest X-ray classifier.")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    modules = {}
    for name, verb in VERBS.items():
        subparser = verbs.add_parser(
            name, help=verb.help, description=f"{verb.help[0].upper()}{verb.help[1:]}."
        )
        if name in argv[:1]:
            modules[name] = import_module(module_of(name))
            modules[name].add_arguments(subparser)
    arguments = parser.parse_args(argv)
    if arguments.verb == "explain" and arguments.method:  # `service` must not import `training`
        arguments.map_by = import_module("training.maps.methods").map_by
    return int(modules[arguments.verb].run(arguments))


def module_of(verb: str) -> str:
    """Return the name of a verb's module: `service.commands.serve` for `serve`."""
    return f"{VERBS[verb].package}.commands.{verb.replace('-', '_')}"


def _needs_training(argv: Sequence[str]) -> bool:
    is_by_method = argv[0] == "explain" and any(word.startswith("--me") for word in argv)
    return is_by_method or VERBS[argv[0]].package == "training"


def _remedy(package: str) -> str:
    return (
        f"the package {package} is missing; training needs more than the server does: "
        "pip install 'chest-xray-explainer[train]' (in a checkout: pip install '.[train]')"
    )


if __name__ == "__main__":
    sys.exit(main())
