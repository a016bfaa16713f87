"""Translate the keys of `[training]` from before they were grouped in tables, or refuse them.

A TOML file with such a key is refused with its new place; `config.json` of an older run folder is
translated, so that the run can be resumed and exported.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Flat = Mapping[str, Any]
"""The `[training]` table of an older file."""


def _always(flat: Flat) -> bool:
    return True


def _is_sgd(flat: Flat) -> bool:
    return flat.get("opt") == "sgd"


def _is_shuffled(flat: Flat) -> bool:
    return flat.get("sampling", "shuffle") == "shuffle"


def _is_manual(flat: Flat) -> bool:
    return flat.get("gradients") == "manual"


def _is_autograd(flat: Flat) -> bool:
    return not _is_manual(flat)


def _is_cached(flat: Flat) -> bool:
    return bool(flat.get("cache_features"))


def _unfreezes(flat: Flat) -> bool:
    return bool(flat.get("unfreeze"))


class Place(NamedTuple):
    """Place of an old key.

    Attributes:
        table: Below `[training]`.
        key: The name there.
        is_used: Tells whether the key meant something beside the others; run folders hold all keys.
    """

    table: str
    key: str
    is_used: Callable[[Flat], bool] = _always


CACHE = "unfreeze.feature_cache"
PLACES: Mapping[str, Place] = {
    "opt": Place("optimiser", "opt"),
    "momentum": Place("optimiser", "momentum", _is_sgd),
    "learning_rate": Place("optimiser", "learning_rate"),
    "layer_decay": Place("optimiser", "layer_decay"),
    "weight_decay": Place("optimiser", "weight_decay"),
    "warmup_epochs": Place("optimiser", "warmup_epochs"),
    "gradient_clipping": Place("optimiser", "gradient_clipping"),
    "sampling": Place("sampling", "by"),
    "class_weights": Place("sampling", "class_weights", _is_shuffled),
    "unfreeze": Place("unfreeze", "layers", _unfreezes),
    "cache_copies": Place(CACHE, "copies", _is_cached),
    "cache_dtype": Place(CACHE, "dtype", _is_cached),
    "cache_folder": Place(CACHE, "folder", _is_cached),
    "gradients": Place("gradients", "by"),
    "precision": Place("gradients", "precision"),
    "torchcompile": Place("gradients", "torchcompile", _is_autograd),
    "mixup": Place("gradients", "mixup", _is_autograd),
    "gradient_flow_every": Place("gradients", "gradient_flow_every", _is_autograd),
    "grad_checkpointing": Place("gradients", "grad_checkpointing", _is_manual),
}
REMOVED = {
    "cache_features": "cache_features in [training] is gone: a table "
    f"[training.{CACHE}], which may be empty, switches the cache on",
    "fsdp": "fsdp in [training] is gone: the largest network has 134 M parameters, which each GPU "
    "holds whole. Remove the key; `torchrun -m training` trains in several processes without it "
    "(DistributedDataParallel)",
}


def refuse_flat_keys(training: Flat) -> None:
    """Refuse a `[training]` table with keys from before the grouping.

    Raises:
        ValueError: It has some; the message says for each of them what to write instead.
    """
    sentences = [_new_place(key) for key in flat_keys(training)]
    if sentences:
        raise ValueError("\n  ".join(["the keys of [training] are grouped in tables:", *sentences]))


def _new_place(key: str) -> str:
    if key in REMOVED:
        return REMOVED[key]
    place = PLACES[key]
    return f"{key} in [training] is now [training.{place.table}] {place.key}"


def flat_keys(training: Flat) -> list[str]:
    """Return the keys from before the grouping; three of them bear the name of a table now."""
    tables = {place.table for place in PLACES.values()}
    return [
        key
        for key, value in training.items()
        if key in REMOVED
        or (key in PLACES and (key not in tables or isinstance(value, (str, list, tuple))))
    ]


def with_tables(training: Flat) -> dict[str, Any]:
    """Return the `[training]` table of a run folder with its keys in tables, as they are now.

    `fsdp` is left out: the weights were always written whole.
    """
    old = flat_keys(training)
    grouped = {key: value for key, value in training.items() if key not in old}
    for key in old:
        place = PLACES.get(key)
        if place and place.is_used(training):
            table = grouped
            for name in place.table.split("."):
                table = table.setdefault(name, {})
            table[place.key] = training[key]
    return grouped
