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
    """One job: the module that does it, and what it is."""

    module: str
    help: str


VERBS = {
    "serve": Verb("service.__main__", "run the server and the viewer"),
    "key": Verb("service.keys", "make an API key for the server"),
    "predict": Verb("service.predict", "print the findings of films, a line of JSON each"),
    "explain": Verb("service.explain", "write a film with the evidence painted over it"),
    "watch": Verb("service.watch", "answer an archive's chest films with DICOM objects"),
    "batch": Verb("service.batch", "score an archive of films, a row of a Parquet file each"),
    "train": Verb("training.train", "train a network as a configuration file says"),
    "evaluate": Verb("training.evaluate", "measure exported models on films of a manifest"),
    "audit": Verb("training.audit", "look for shortcuts that an exported model has learnt"),
    "localise": Verb("training.localise", "measure how well maps fall on what people marked"),
    "faithfulness": Verb("training.faithfulness", "see whether a model leans on its maps"),
    "refusal": Verb("training.refusal", "see which spoiled films and other images a model refuses"),
    "trust": Verb("training.trust", "see whether maps depend on what the model has learnt"),
    "export": Verb("training.export", "write a training run as one ONNX file"),
    "model-card": Verb("training.model_card_page", "write the card inside a model as a page"),
    "verify-backprop": Verb(
        "training.verify_backprop", "compare the gradients by hand with autograd's"
    ),
    "prepare": Verb("training.prepare", "make a manifest from somebody's films, or check one"),
    "leave-out": Verb("training.leave_out", "measure a recipe on origins that it never saw"),
    "phantom": Verb("training.phantom", "draw films to train and test on"),
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
            modules[name] = import_module(verb.module)
            modules[name].add_arguments(subparser)
    arguments = parser.parse_args(argv)
    if arguments.verb == "explain" and arguments.method:  # the server may not know of training
        arguments.map_by = import_module("training.methods").map_by
    return int(modules[arguments.verb].run(arguments))


def _needs_training(argv: Sequence[str]) -> bool:
    is_by_method = argv[0] == "explain" and any(word.startswith("--me") for word in argv)
    return is_by_method or VERBS[argv[0]].module.startswith("training.")


def _remedy(package: str) -> str:
    return (
        f"the package {package} is missing; training needs more than the server does: "
        "pip install 'chest-xray-explainer[train]' (in a checkout: pip install '.[train]')"
    )


if __name__ == "__main__":
    sys.exit(main())
