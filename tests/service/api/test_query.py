"""Query parameters that no route knows."""

import httpx
import pytest

from tests.service.api.test_openapi import DOCUMENT
from tests.support.tiny_model import FILM

OPERATIONS = [
    (method.upper(), path.format(name="tiny", version="1.2.3"), operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_every_route_refuses_them_and_names_those_it_knows(
    client: httpx.Client, method: str, path: str, operation: dict
):
    problem = client.request(method, path, params={"modle": "Jane Doe"}, content=FILM)
    assert (problem.status_code, problem.json()["title"]) == (422, "Unknown parameter")
    known = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
    said = f"parameters {', '.join(sorted(known))};" if known else "no query parameters;"
    assert said in problem.json()["detail"]
    assert "modle" not in problem.text
    assert "Jane" not in problem.text


def test_a_number_against_caches_is_passed_over(client: httpx.Client):
    assert client.get("/v1/models?_=1764547200").status_code == 200
    assert client.post("/v1/predict?model=tiny&_=1", content=FILM).status_code == 200


def test_all_that_the_interface_describes_may_be_sent(client: httpx.Client):
    asked = {"class": "pneumonia", "force": "true", "model": "tiny", "outline": "false"}
    answer = client.post("/v1/explain", params=asked | {"faithfulness": "false"}, content=FILM)
    assert answer.status_code == 200
