"""The command line, one verb per job.

A verb's module is imported when the verb is asked for, so that the server's verbs need none of the
training tools. Each such module offers `add_arguments(parser)` and `run(arguments)`.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple


class Verb(NamedTuple):
    """One job: the package that does it, and what it is."""

    package: str
    help: str


VERBS = {
    "serve": Verb("service", "run the server and the viewer"),
    "key": Verb("service", "make an API key for the server"),
    "predict": Verb("service", "print the findings of films, a line of JSON each"),
    "explain": Verb("service", "write a film with the evidence painted over it"),
    "watch": Verb("service", "answer an archive's chest films with DICOM objects"),
    "batch": Verb("service", "score an archive of films, a row of a Parquet file each"),
    "train": Verb("training", "train a network as a configuration file says"),
    "evaluate": Verb("training", "measure exported models on films of a manifest"),
    "audit": Verb("training", "look for shortcuts that an exported model has learnt"),
    "localise": Verb("training", "measure how well maps fall on what people marked"),
    "faithfulness": Verb("training", "see whether a model leans on its maps"),
    "refusal": Verb("training", "see which spoiled films and other images a model refuses"),
    "trust": Verb("training", "see whether maps depend on what the model has learnt"),
    "export": Verb("training", "write a training run as one ONNX file"),
    "model-card": Verb("training", "write the card inside a model as a page"),
    "verify-backprop": Verb("training", "compare the gradients by hand with autograd's"),
    "prepare": Verb("training", "make a manifest from somebody's films, or check one"),
    "leave-out": Verb("training", "measure a recipe on origins that it never saw"),
    "phantom": Verb("training", "draw films to train and test on"),
}
OURS = {"models", "xai", "training", "service"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status: 0 well, 1 failed, 2 wrongly called."""
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
    except (ValueError, OSError) as error:  # what a user gave is at fault; the message says how
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
    if arguments.verb == "explain" and arguments.method:  # the server may not know of training
        arguments.map_by = import_module("training.maps.methods").map_by
    return int(modules[arguments.verb].run(arguments))


def module_of(verb: str) -> str:
    """Return the module that does a job: `service.commands.serve` for `serve`."""
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
