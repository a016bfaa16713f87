import logging
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI

import cxr
from service.app import create_app
from service.films.decoding import SeenFilm, seen_film
from service.inference.registry import Registry
from service.settings import OWN_MODELS, Settings
from tests.support.running_server import serving, started
from tests.support.tiny_model import FILM, card, golden, write_model
from xai.explainer import Explainer


def test_models_are_listed_with_their_hash(client: httpx.Client):
    [model] = client.get("/v1/models").json()["models"]
    assert model["name"] == "tiny"
    assert model["is_default"] is True
    assert model["class_names"] == ["normal", "pneumonia", "effusion"]
    assert re.fullmatch("[0-9a-f]{64}", model["sha256"])


def test_a_models_card_is_shown_whole(client: httpx.Client):
    description = client.get("/v1/models/tiny").json()
    assert description["card"] == card().model_dump(mode="json")
    assert client.get("/v1/models/huge").status_code == 404


def test_the_colour_map_has_256_colours(client: httpx.Client):
    colour_map = client.get("/v1/colour-map").json()
    assert colour_map["name"] == "inferno"
    assert len(colour_map["rgb"]) == 256
    assert client.get("/v1/colour-map?name=inferno").json() == colour_map


def test_all_colour_maps_come_in_one_answer(client: httpx.Client):
    colour_maps = client.get("/v1/colour-maps").json()["colour_maps"]
    names = [colour_map["name"] for colour_map in colour_maps]
    assert names == ["inferno", "viridis", "cividis", "magma", "managua_r"]
    for colour_map in colour_maps:
        assert client.get(f"/v1/colour-map?name={colour_map['name']}").json() == colour_map


def test_a_problem_names_the_colour_maps_there_are(client: httpx.Client):
    problem = client.get("/v1/colour-map?name=jet")
    assert problem.status_code == 422
    assert "name: Input should be 'inferno', 'viridis', " in problem.json()["detail"]
    assert "jet" not in problem.text


def test_health_is_live_and_ready(client: httpx.Client):
    assert client.get("/health/live").json() == {"status": "live"}
    assert client.get("/health/ready").json() == {"status": "ready"}


def test_a_server_without_its_models_is_live_but_not_ready(model_file: Path):
    async def statuses(app: FastAPI) -> list[int]:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://server"
        ) as client:
            paths = ("/health/live", "/health/ready", "/v1/models")
            return [(await client.get(path)).status_code for path in paths]

    assert anyio.run(statuses, create_app(Settings(models=model_file, own_models=False))) == [
        200,
        503,
        503,
    ]


BOX = ("vit_b16", "chest_cnn", "vgg16")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three models, as the one that comes with the package."""
    folder = tmp_path_factory.mktemp("box")
    for name in BOX:
        write_model(folder, name=name, version=f"of {name}")
    return folder


def test_each_of_three_models_answers_under_its_name(box: Path):
    with serving(create_app(Settings(models=box, own_models=False))) as client:
        for verb in ("predict", "explain"):
            for name in BOX:
                model = client.post(f"/v1/{verb}?model={name}", content=FILM).json()["model"]
                assert (model["name"], model["version"]) == (name, f"of {name}")
            default = client.post(f"/v1/{verb}", content=FILM).json()["model"]["name"]
            assert default == "chest_cnn"


def test_an_overlay_is_of_the_model_that_was_asked(tmp_path: Path):
    write_model(tmp_path, name="first")
    write_model(tmp_path, name="second", evidence_scale=12.0)
    with serving(create_app(Settings(models=tmp_path, own_models=False))) as client:
        pictures = [
            client.post(
                f"/v1/explain?class=pneumonia&model={name}",
                content=FILM,
                headers={"accept": "image/png"},
            ).content
            for name in ("first", "second")
        ]
    assert pictures[0] != pictures[1]
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)


def test_only_the_default_model_is_loaded_until_another_is_asked(box: Path):
    def loaded(client: httpx.Client) -> set[str]:
        models = client.get("/v1/models").json()["models"]
        assert [model["name"] for model in models if model["is_default"]] == ["chest_cnn"]
        return {model["name"] for model in models if model["is_loaded"]}

    with serving(create_app(Settings(models=box, own_models=False))) as client:
        assert loaded(client) == {"chest_cnn"}
        client.post("/v1/predict?model=vit_b16", content=FILM)
        assert loaded(client) == {"chest_cnn", "vit_b16"}


def test_a_problem_names_the_models_there_are(box: Path):
    with serving(create_app(Settings(models=box, own_models=False))) as client:
        for verb in ("predict", "explain"):
            problem = client.post(f"/v1/{verb}?model=resnet", content=FILM)
            assert problem.status_code == 404
            assert problem.json()["detail"] == "The models here are chest_cnn, vgg16, vit_b16."


def test_a_model_that_fails_its_checks_when_it_is_asked_leaves_the_others_be(
    tmp_path: Path, caplog
):
    wrong = golden().model_copy(update={"distance": 1.0})
    write_model(tmp_path, name="good")
    write_model(tmp_path, name="wrong", golden=wrong)
    with serving(create_app(Settings(models=tmp_path, own_models=False))) as client:
        problem = client.post("/v1/predict?model=wrong", content=FILM)
        assert (problem.status_code, problem.json()["title"]) == (500, "Unsound model")
        assert "wrong.onnx: golden distance not reproduced" in caplog.text
        assert client.post("/v1/predict", content=FILM).status_code == 200


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"models": "nowhere"}, "models must be an ONNX file or a folder with one"),
        ({"default_model": "huge"}, r"default_model must be one of \['tiny'\], not 'huge'"),
    ],
)
def test_a_server_with_wrong_settings_does_not_start(model_file: Path, settings, fault):
    app = create_app(Settings(**{"models": model_file, "own_models": False} | settings))

    async def start() -> None:
        async with app.router.lifespan_context(app):
            pass

    with pytest.raises(ValueError, match=fault):
        anyio.run(start)


def test_models_that_are_handed_in_are_not_opened_again(model_file: Path, monkeypatch):
    settings = Settings(models=model_file, own_models=False)
    registry = Registry(settings)
    monkeypatch.setattr("service.app.Registry", lambda _: pytest.fail("opened twice"))
    app = create_app(settings, registry=registry)

    async def registry_of_running_server() -> Registry:
        async with app.router.lifespan_context(app):
            return app.state.engine.registry

    assert anyio.run(registry_of_running_server) is registry


def test_serving_opens_each_model_once(model_file: Path, monkeypatch):
    opened: list[Path] = []

    def counted(path: Path, **options: Any) -> Explainer:
        opened.append(path)
        return Explainer(path, **options)

    def started_and_stopped(app: FastAPI, **_: object) -> None:
        with serving(app) as client:
            assert client.get("/health/ready").status_code == 200
            assert client.post("/v1/predict", content=FILM).status_code == 200

    monkeypatch.setattr("service.inference.registry.Explainer", counted)
    monkeypatch.setattr("uvicorn.run", started_and_stopped)
    assert cxr.main(["serve", "--models", str(model_file)]) == 0
    assert opened == [model_file, *sorted(OWN_MODELS.glob("*.onnx"))]


@pytest.mark.parametrize("program", [["cxr", "serve"], ["service"]])
@pytest.mark.parametrize("model", ["missing.onnx", "broken.onnx"])
def test_a_model_that_cannot_be_served_is_one_sentence(tmp_path: Path, program: list[str], model):
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    done = subprocess.run(
        [sys.executable, "-m", *program, "--models", str(tmp_path / model)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    [sentence] = done.stderr.splitlines()
    assert sentence.startswith(f"{' '.join(program).replace('service', 'python -m service')}: ")
    assert model in sentence


def test_settings_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("CXR_PORT", "9000")
    monkeypatch.setenv("CXR_MAX_UPLOAD_BYTES", "1000")
    assert (Settings().port, Settings().max_upload_bytes) == (9000, 1000)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v1/nothing", 404),
        ("GET", "/%00", 404),
        ("GET", "/..%2f..%2fpyproject.toml", 404),
        ("GET", "/v1/predict", 405),
        ("DELETE", "/v1/models", 405),
        ("POST", "/v1/explain?force=perhaps", 422),
    ],
)
def test_every_error_is_a_problem_document(client: httpx.Client, method, path, status):
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) >= {"type", "title", "status", "detail"}


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/nothing", {}),
        ("DELETE", "/v1/models", {}),
        ("GET", "/v1/models/huge", {}),
        ("POST", "/v1/explain?force=perhaps", {}),
        ("POST", "/v2/models/tiny/infer", {}),
        ("GET", "/", {"host": "rebound.example"}),
    ],
)
def test_a_problem_names_its_request(client: httpx.Client, method, path, headers):
    problem = client.request(method, path, headers=headers | {"x-request-id": "of-ward-7"})
    assert problem.json()["request_id"] == problem.headers["x-request-id"] == "of-ward-7"


def test_the_server_says_which_version_it_is(model_file: Path):
    settings = Settings(models=model_file, own_models=False, revision="d9ff182")
    with serving(create_app(settings)) as client:
        version = client.get("/version").json()
    assert version == {"version": create_app(settings).version, "revision": "d9ff182"}


def test_a_fault_of_ours_is_a_problem_that_gives_nothing_away(
    client: httpx.Client, monkeypatch, caplog
):
    name = "Doe^Jane"  # not in the line that raises: its source is logged

    def broken(*_: object) -> None:
        raise RuntimeError(name)

    monkeypatch.setattr(Explainer, "__call__", broken)
    answer = client.post("/v1/predict", content=FILM)
    assert (answer.status_code, answer.json()["type"]) == (500, "about:blank")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert "RuntimeError" in caplog.text
    assert "Doe" not in caplog.text + answer.text


def test_file_names_reach_no_log(client: httpx.Client, caplog):
    caplog.set_level(logging.DEBUG)
    client.post("/v1/predict", files={"file": ("Jane_Doe.png", FILM)})
    client.post("/v1/predict", files={"file": ("Jane_Doe.png", b"broken")})
    client.post("/v1/predict", files={"Jane_Doe": ("Jane_Doe.png", FILM)})
    assert "Jane_Doe" not in caplog.text


def test_the_documentation_page_loads_nothing_from_elsewhere(client: httpx.Client):
    page = client.get("/docs").text
    addresses = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert len(addresses) == 4
    for address in addresses:
        assert "//" not in address
        assert client.get(f"/{address}").status_code == 200
    assert "http" not in client.get("/docs/swagger/start.js").text


def test_the_interface_is_described(client: httpx.Client):
    paths = client.get("/openapi.json").json()["paths"]
    explain = paths["/v1/explain"]["post"]
    assert {"multipart/form-data", "image/png", "application/dicom"} <= set(
        explain["requestBody"]["content"]
    )
    answers = {"application/json", "image/png", "multipart/related"}
    assert set(explain["responses"]["200"]["content"]) == answers
    assert {"400", "404", "406", "409", "413", "415", "422", "503"} <= set(explain["responses"])
    assert set(explain["responses"]["413"]["content"]) == {"application/problem+json"}
    assert explain["responses"]["422"]["description"].split("; ") == [
        "Missing file",
        "Empty upload",
        "Unreadable film",
        "Unsupported film",
        "No map",
        "No source instance",
        "Unknown class",
    ]
    assert {parameter["name"] for parameter in explain["parameters"]} == {
        "class",
        "faithfulness",
        "force",
        "model",
        "outline",
    }


def test_a_slow_model_does_not_stall_the_server(client: httpx.Client, monkeypatch):
    answer = Explainer.__call__

    def slow(self: Explainer, pixels):
        time.sleep(2)
        return answer(self, pixels)

    monkeypatch.setattr(Explainer, "__call__", slow)
    with ThreadPoolExecutor() as pool:
        prediction = pool.submit(client.post, "/v1/predict", content=FILM)
        time.sleep(0.2)
        start = time.monotonic()
        assert client.get("/health/live").status_code == 200
        assert time.monotonic() - start < 1
        assert prediction.result().status_code == 200


def test_many_requests_at_once_get_the_same_answer(client: httpx.Client):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: client.post("/v1/explain", content=FILM).text, range(48)))
    assert len(set(answers)) == 1


def test_no_more_films_than_allowed_are_decoded_at_once(model_file: Path, monkeypatch):
    at_once, most = 0, 0

    def counted(*arguments: Any) -> SeenFilm:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.02)
        at_once -= 1
        return seen_film(*arguments)

    monkeypatch.setattr("service.inference.engine.seen_film", counted)
    settings = Settings(models=model_file, own_models=False, concurrency=2)
    with serving(create_app(settings)) as client, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: client.post("/v1/predict", content=FILM), range(8)))
    assert most == 2


@pytest.mark.parametrize("module", ["service.app", "service.commands.serve", "xai.heatmap", "cxr"])
def test_the_server_loads_no_training_tools(module: str):
    script = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout.split()
    assert not {"torch", "onnx", "jaxtyping", "matplotlib", "tqdm", "pydicom"} & set(loaded)


def test_a_server_process_is_ready_within_seconds(model_file: Path):
    start = time.monotonic()
    with started("--models", str(model_file)) as (_, address):
        assert httpx.get(f"{address}/health/ready").json() == {"status": "ready"}
        assert time.monotonic() - start < 10  # 2 s on an idle machine


def test_a_server_that_is_told_to_stop_finishes_what_it_has_and_takes_no_more():
    """The largest of our own models loads and answers while the server is already stopping."""
    with (
        started() as (process, address),
        httpx.Client(timeout=60) as client,  # made before the clock runs: it reads certificates
        ThreadPoolExecutor(1) as pool,
    ):
        asked = pool.submit(client.post, f"{address}/v1/predict?model=vgg16", content=FILM)
        time.sleep(0.2)
        process.terminate()
        time.sleep(0.2)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{address}/health/live")
        assert asked.result().status_code == 200
        assert process.wait(25) == 0
