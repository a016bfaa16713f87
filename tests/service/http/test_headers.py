import httpx
import pytest

PATHS = ("/", "/docs", "/health/live", "/v1/models", "/nothing")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ],
)
def test_every_answer_carries_the_security_headers(client: httpx.Client, path, name, value):
    assert client.get(path).headers[name] == value


@pytest.mark.parametrize("path", PATHS)
def test_a_page_may_use_what_comes_from_here_and_nothing_else(client: httpx.Client, path: str):
    policy = client.get(path).headers["content-security-policy"].split("; ")
    rules = {name: set(sources) for name, *sources in map(str.split, policy)}
    assert rules.pop("img-src") == {"'self'", "blob:", "data:"}
    for name in ("default-src", "base-uri", "form-action", "frame-ancestors"):
        assert rules.pop(name) == {"'none'"}
    assert rules == {name: {"'self'"} for name in ("script-src", "style-src", "connect-src")}


def test_a_page_may_use_no_camera_and_nothing_like_it(client: httpx.Client):
    policy = client.get("/").headers["permissions-policy"].split(", ")
    assert {"camera=()", "microphone=()", "geolocation=()"} <= set(policy)


@pytest.mark.parametrize("path", ["/v1/models", "/v1/nothing", "/v2/nothing", "/metrics"])
def test_what_is_guarded_is_stored_nowhere(client: httpx.Client, path: str):
    assert client.get(path).headers["cache-control"] == "no-store"


def test_whether_pages_are_encrypted_is_left_to_the_proxy(client: httpx.Client):
    assert "strict-transport-security" not in client.get("/").headers


@pytest.mark.parametrize("path", ["/v1/predict", "/health/live", "/"])
def test_a_page_of_another_origin_may_read_nothing(client: httpx.Client, path: str):
    origin = {"origin": "https://elsewhere.example"}
    asked = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    }
    for answer in (client.options(path, headers=origin | asked), client.get(path, headers=origin)):
        assert not [name for name in answer.headers if name.startswith("access-control")]
