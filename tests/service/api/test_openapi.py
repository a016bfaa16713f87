"""The OpenAPI document is valid, and its examples are what its schemas say."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis

from cxr_client import BatchLine
from cxr_client.answers import FilmPixels
from service.answers import examples
from service.answers.schemas import Prediction
from service.app import create_app
from service.settings import OWN_MODELS, Settings
from tests.support.openapi_shape import STORED, current_shape, differences, shape
from xai.explainer import Explainer

DOCUMENT = create_app(Settings()).openapi()
JSON = ("application/json", "application/problem+json")


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def bodies() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each JSON body that is sent or answered."""
    for name, operation in operations():
        parts = operation["responses"] | {"request": operation.get("requestBody", {})}
        for part, described in parts.items():
            for media_type, body in described.get("content", {}).items():
                if media_type in JSON:
                    yield f"{name}: {part}", body


def schemas(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what a schema stands for: itself, or the schemas it refers to."""
    if "$ref" in schema:
        yield DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for one in schema.get("anyOf", ()):
        yield from schemas(one)
    yield schema


def shown(body: dict[str, Any]) -> list[Any]:
    """Return the examples of a body."""
    own = [body["example"]] if "example" in body else []
    own += [one["value"] for one in body.get("examples", {}).values()]
    return own + [one for schema in schemas(body["schema"]) for one in schema.get("examples", ())]


def test_the_document_is_valid():
    schemathesis.openapi.from_dict(DOCUMENT).validate()


def test_a_document_with_a_fault_would_be_noticed():
    with pytest.raises(ValueError, match="fault"):
        schemathesis.openapi.from_dict(DOCUMENT | {"paths": {"/v1": {"get": "fault"}}}).validate()


def test_the_interface_is_as_stored_but_for_its_texts():
    """`python -m tests.support.openapi_shape` stores it anew after a change that is meant."""
    assert list(differences(json.loads(STORED.read_text()), current_shape())) == []


def test_a_change_of_the_interface_is_named_by_its_place():
    schema = {"title": "A", "properties": {"title": {"type": "string", "description": "Its name."}}}
    told = shape({"schemas": {"A": schema}})
    assert told == {"schemas": {"A": {"properties": {"title": {"type": "string"}}}}}
    changed = shape({"schemas": {"A": {"properties": {"title": {"type": "null"}}}, "B": {}}})
    assert list(differences(told, changed)) == [
        " > schemas > A > properties > title > type: stored 'string', shown 'null'",
        " > schemas > B (only shown)",
    ]


@pytest.mark.parametrize(("name", "body"), list(bodies()))
def test_every_body_has_an_example_and_all_of_them_are_what_the_schema_says(name, body):
    validator = jsonschema_rs.validator_for(body["schema"] | {"components": DOCUMENT["components"]})
    assert shown(body), name
    for example in shown(body):
        validator.validate(example)


def test_the_example_of_a_batch_is_what_the_client_reads():
    answer, problem = examples.BATCH.splitlines()
    read = BatchLine.model_validate_json(answer).outcome()
    assert read.model_dump(mode="json") == examples.PREDICTION
    assert BatchLine.model_validate_json(problem).outcome().status == 422


def test_the_example_of_a_films_header_is_what_the_client_reads():
    header = DOCUMENT["paths"]["/v1/film"]["post"]["responses"]["200"]["headers"]["X-Film"]
    assert FilmPixels.model_validate_json(header["example"]).windows


def test_the_examples_are_of_the_default_model():
    explainer = Explainer(OWN_MODELS / "chest_cnn.onnx", lazy=True)
    card, example = explainer.card, Prediction.model_validate(examples.PREDICTION)
    assert (example.model.version, example.model.sha256) == (card.version, explainer.sha256)
    assert example.model.evidence_scale == pytest.approx(card.evidence_scale, rel=0.01)
    assert example.distance_threshold == pytest.approx(card.distance_threshold, rel=0.01)


def test_operation_ids_are_names_and_differ():
    names = [operation["operationId"] for _, operation in operations()]
    assert all(name.isidentifier() for name in names)
    assert len(set(names)) == len(names)


def test_every_operation_says_what_it_does():
    assert all(one["summary"] and one["description"] for _, one in operations())


def test_every_summary_is_a_sentence_on_one_line():
    summaries = [operation["summary"] for _, operation in operations()]
    assert [one for one in summaries if not re.fullmatch(r"[A-Z][^\n]* [^\n]*\.", one)] == []


def test_the_server_and_the_key_are_declared_even_where_no_key_is_needed(tmp_path: Path):
    keys = tmp_path / "keys.toml"
    keys.write_text("")
    keyed = create_app(Settings(api_keys_file=keys)).openapi()
    for document, asks in ((DOCUMENT, False), (keyed, True)):
        schemathesis.openapi.from_dict(document).validate()
        assert document["servers"] == [{"url": "/"}]
        [(name, key)] = document["components"]["securitySchemes"].items()
        assert (name, key["type"], key["scheme"]) == ("ApiKey", "http", "bearer")
        assert ("security" in document["paths"]["/v1/predict"]["post"]) is asks
        assert "security" not in document["paths"]["/health/live"]["get"]


def test_a_wrong_parameter_is_answered_as_its_example_says():
    for name, operation in operations():
        for status, response in operation["responses"].items():
            if "A parameter" in response["description"]:
                [body] = response["content"].values()
                assert status == "422", name
                wrong = body["examples"]["Wrong parameter"]["value"]
                assert set(wrong["errors"][0]) == {"parameter", "detail"}


def test_every_error_is_described_as_a_problem_document():
    for name, operation in operations():
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert set(response["content"]) == {"application/problem+json"}, (name, status)
    assert "HTTPValidationError" not in DOCUMENT["components"]["schemas"]
