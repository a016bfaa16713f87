"""Write what the client for programs has of the server: its answers' fields, its kinds of problem.

python -m tests.support.client_source  # after a change of the interface that is meant
"""

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from service.answers.schemas import FilmPixels
from service.app import create_app
from service.problems import ServiceProblem
from service.settings import Settings

CLIENT = Path(__file__).parents[2] / "clients" / "python" / "cxr_client"
MADE = "`python -m tests.support.client_source` writes this file."
READ = (
    "Prediction",
    "ExplainedPrediction",
    "ExplainedComparison",
    "FilmPixels",
    "ModelList",
    "ModelDescription",
)
"""Schemas that the client's methods return."""
BASES = {
    "ExplainedPrediction": "Prediction",
    "ExplainedFinding": "Finding",
    "ExplainedGroupFinding": "GroupFinding",
    "FilmPixels": "Film",
}
"""A document repeats the fields that a schema has from another one, and may narrow them."""
TYPES = {
    "string": "str",
    "number": "float",
    "integer": "int",
    "boolean": "bool",
    "null": "None",
}
Schema = Mapping[str, Any]


def schemas() -> dict[str, Schema]:
    """Return the schemas of the OpenAPI document, and that of the header X-Film, by name."""
    place = "#/components/schemas/{model}"
    header = FilmPixels.model_json_schema(mode="serialization", ref_template=place)
    document = create_app(Settings(auth=False)).openapi()
    return document["components"]["schemas"] | header.pop("$defs") | {"FilmPixels": header}


def answers() -> str:
    """Return the source of `cxr_client.answers`."""
    found, offered = {}, schemas()
    for name in READ:
        found |= {one: offered[one] for one in _needed(name, offered)}
    classes = [_class(name, schema, offered) for name, schema in found.items()]
    head = (
        f'"""The fields of the server\'s answers, as its OpenAPI document has them.\n\n{MADE}\n"""'
    )
    imports = "from collections.abc import Sequence\n\nfrom pydantic import BaseModel, ConfigDict"
    base = (
        'class Answer(BaseModel):\n    """Base of all answers and of their parts."""\n\n'
        "    model_config = ConfigDict(frozen=True)"
    )
    return "\n\n\n".join([f"{head}\n\n{imports}", base, *classes]) + "\n"


def problem_kinds() -> str:
    """Return the source of `cxr_client.problem_kinds`."""
    head = f'"""The kinds of problem that the server answers with.\n\n{MADE}\n"""'
    classes = [_kind(one) for one in _tree(ServiceProblem)]
    return "\n\n\n".join([f"{head}\n\nfrom cxr_client.problem import Problem", *classes]) + "\n"


def _needed(name: str, offered: Mapping[str, Schema]) -> Iterator[str]:
    """Yield the names of the schemas that one refers to, then its own."""
    if name in BASES:
        yield from _needed(BASES[name], offered)
    for other in _references(offered[name].get("properties", {})):
        yield from _needed(other, offered)
    if not _is_word(offered[name]):
        yield name


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, Mapping):
        if "$ref" in part:
            yield part["$ref"].rpartition("/")[2]
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            yield from _references(one)


def _is_word(schema: Schema) -> bool:
    return schema["type"] == "string"


def _class(name: str, schema: Schema, offered: Mapping[str, Schema]) -> str:
    base = BASES.get(name, "Answer")
    known = offered.get(base, {}).get("properties", {})
    fields = "".join(
        _field(one, described, one in schema.get("required", ()), offered)
        for one, described in schema["properties"].items()
        if described != known.get(one)
    )
    return f"class {name}({base}):\n{_text(schema['description'])}\n\n{fields}".rstrip()


def _field(name: str, schema: Schema, is_required: bool, offered: Mapping[str, Schema]) -> str:
    default = "" if is_required else f" = {_default(schema)}"
    description = schema.get("description")
    text = f"{_text(description)}\n" if description else ""
    return f"    {name}: {_type(schema, offered)}{default}\n{text}"


def _default(schema: Schema) -> str:
    value = schema.get("default")
    return repr(tuple(value) if "prefixItems" in schema else value).replace("'", '"')


def _type(schema: Schema, offered: Mapping[str, Schema]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return "str" if _is_word(offered[name]) else name
    if "anyOf" in schema:
        return " | ".join(_type(one, offered) for one in schema["anyOf"])
    if "prefixItems" in schema:
        return f"tuple[{', '.join(_type(one, offered) for one in schema['prefixItems'])}]"
    if schema["type"] == "array":
        item = _type(schema["items"], offered)
        return f"{'Sequence' if item in BASES.values() else 'list'}[{item}]"
    if schema["type"] == "object":
        return f"dict[str, {_type(schema['additionalProperties'], offered)}]"
    return TYPES[schema["type"]]


def _text(description: str) -> str:
    """Return a description as a docstring; one of several lines is wrapped already."""
    lines = description.splitlines()
    if len(lines) == 1:
        lines = textwrap.wrap(f'"""{description}"""', 96, break_on_hyphens=False)
    else:
        lines = [f'"""{lines[0]}', *lines[1:], '"""']
    return "\n".join(f"    {line}".rstrip() for line in lines)


def _tree(kind: type[ServiceProblem]) -> Iterator[type[ServiceProblem]]:
    for one in kind.__subclasses__():
        yield one
        yield from _tree(one)


def _kind(kind: type[ServiceProblem]) -> str:
    [base] = kind.__bases__
    name = "Problem" if base is ServiceProblem else base.__name__
    return f"class {kind.__name__}({name}):\n{_text(kind.__doc__ or '')}"


def main() -> None:
    """Write both files."""
    (CLIENT / "answers.py").write_text(answers())
    (CLIENT / "problem_kinds.py").write_text(problem_kinds())


if __name__ == "__main__":
    main()
