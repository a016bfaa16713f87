"""The OpenAPI document without its texts and examples: what clients' programs rely on.

python -m tests.support.openapi_shape  # after a change of the interface that is meant
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from service.app import create_app
from service.settings import Settings

STORED = Path(__file__).parents[1] / "service" / "api" / "openapi.json"
TEXTS = ("title", "summary", "description")
EXAMPLES = ("example", "examples")
NAMED = ("properties", "schemas", "paths", "responses", "headers")
"""Objects whose keys are names: one may be called `title`."""


def shape(document: Any, *, has_names: bool = False) -> Any:
    """Return the document, or a part of it, without texts and examples."""
    if isinstance(document, list):
        return [shape(one) for one in document]
    if not isinstance(document, dict):
        return document
    return {
        key: shape(value, has_names=key in NAMED and not has_names)
        for key, value in document.items()
        if has_names or not (key in EXAMPLES or (key in TEXTS and isinstance(value, str)))
    }


def current_shape() -> dict[str, Any]:
    """Return the shapes of the paths and schemas that the server shows now, by name."""
    document = create_app(Settings(auth=False)).openapi()
    return shape(document["paths"] | document["components"]["schemas"], has_names=True)


def differences(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """Yield the places at which two documents differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            if key in one and key in other:
                yield from differences(one[key], other[key], f"{place} > {key}")
            else:
                yield f"{place} > {key} (only {'stored' if key in one else 'shown'})"
    elif one != other:
        yield f"{place}: stored {one!r}, shown {other!r}"


def main() -> None:
    """Store the shapes, a line for each path and each schema."""
    lines = [f"{json.dumps(name)}: {json.dumps(one)}" for name, one in current_shape().items()]
    STORED.write_text("{\n" + ",\n".join(sorted(lines)) + "\n}\n")


if __name__ == "__main__":
    main()
