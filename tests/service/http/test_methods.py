"""Methods, paths and redirects as RFC 9110 has them, and what is no HTTP at all."""

import json
import socket

import httpx
import pytest

from tests.support.tiny_model import FILM

READ = (
    "/",
    "/main.js",
    "/docs",
    "/docs/swagger/swagger-ui.css",
    "/openapi.json",
    "/health/live",
    "/metrics",
    "/v1/models",
    "/v1/models/huge",
    "/v1/audit",
    "/v2/models/tiny",
    "/v2/health/ready",
    "/nothing",
)
SAME = ("content-type", "cache-control", "content-length", "x-content-type-options")


@pytest.mark.parametrize("path", READ)
def test_head_is_answered_as_get_without_the_body(client: httpx.Client, path: str):
    got, headed = client.get(path), client.head(path)
    assert headed.status_code == got.status_code
    assert headed.content == b""
    if path != "/metrics":  # which is another page each time
        assert [headed.headers.get(one) for one in SAME] == [got.headers.get(one) for one in SAME]


def test_head_is_counted_as_head(client: httpx.Client):
    client.head("/v1/models/tiny")
    series = 'duration_seconds_count{method="HEAD",route="/v1/models/{name}",status="200"}'
    assert series in client.get("/metrics").text


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/nothing", "/v1/nothing", "/docs/swagger/nothing", "/%00"])
def test_an_unknown_path_is_a_404_for_every_method(client: httpx.Client, method: str, path: str):
    assert client.request(method, path).status_code == 404


@pytest.mark.parametrize("path", ["/", "/main.js", "/docs/swagger/swagger-ui.css", "/v1/models"])
def test_a_known_path_says_which_methods_it_takes(client: httpx.Client, path: str):
    problem = client.delete(path)
    assert problem.status_code == 405
    assert problem.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("path", "to"),
    [
        ("/v1/predict/?model=tiny", "../predict?model=tiny"),
        ("/docs/", "../docs"),
        ("/docs/swagger", "./swagger/"),
        ("/v1/models/tiny/", "../tiny"),
    ],
)
def test_a_redirect_names_no_host(client: httpx.Client, path: str, to: str):
    answer = client.get(path, headers={"host": "127.0.0.1:9"})
    assert (answer.status_code, answer.headers["location"]) == (307, to)


def test_a_redirect_leads_where_it_should(client: httpx.Client):
    answer = client.post("/v1/predict/", content=FILM, follow_redirects=True)
    assert answer.status_code == 200
    assert answer.url == client.base_url.join("/v1/predict")


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\0\0", b"GET / HTTP/1.1\r\nno header\r\n\r\n"])
def test_what_is_no_http_gets_a_problem_document_too(client: httpx.Client, sent: bytes):
    address = (client.base_url.host, client.base_url.port or 0)
    with socket.create_connection(address, timeout=5) as connection:
        connection.sendall(sent)
        head, _, body = b"".join(iter(lambda: connection.recv(10_000), b"")).partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = httpx.Headers([tuple(line.split(": ", 1)) for line in lines])
    assert status == "HTTP/1.1 400 Bad Request"
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert headers["x-content-type-options"] == "nosniff"
    assert int(headers["content-length"]) == len(body)
    problem = json.loads(body)
    assert problem["status"] == 400
    assert problem["request_id"] == headers["x-request-id"]
