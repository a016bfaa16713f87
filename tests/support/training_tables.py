"""Change single keys in the tables of a training's configuration."""

from collections.abc import Mapping
from typing import Any


def merged(fields: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested fields with changes; a table in both has the keys of both."""
    return {**fields, **changes} | {
        name: merged(fields[name], change)
        for name, change in changes.items()
        if isinstance(change, Mapping) and isinstance(fields.get(name), Mapping)
    }
