"""Open Inference Protocol v2 as the protocol's best known client speaks it."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from service.app import create_app
from service.settings import Settings
from tests.support.running_server import serving
from tests.support.tiny_model import FILM, REFUSED_FILM, card, quadrants, write_model
from xai.explainer import Explainer

PIXELS = (quadrants([0.8, 0.2, 0.2, 0.4]) / np.float32(255))[None, None]


@pytest.fixture(scope="module")
def server(client: httpx.Client) -> Iterator[triton.InferenceServerClient]:
    address = f"{client.base_url.host}:{client.base_url.port}"
    with triton.InferenceServerClient(address) as server:
        yield server


def tensor(name: str, values: NDArray, *, binary: bool = True) -> triton.InferInput:
    one = triton.InferInput(name, list(values.shape), "FP32" if name == "pixels" else "BYTES")
    return one.set_data_from_numpy(values, binary_data=binary)


def films(*files: bytes, binary: bool = True) -> triton.InferInput:
    if not binary:
        files = tuple(base64.b64encode(file) for file in files)
    return tensor("film", np.array(files, np.object_), binary=binary)


def wanted(*names: str, binary: bool = True) -> list[triton.InferRequestedOutput]:
    return [triton.InferRequestedOutput(name, binary_data=binary) for name in names]


def test_the_server_is_live_and_ready_and_says_who_it_is(server):
    assert server.is_server_live()
    assert server.is_server_ready()
    metadata = server.get_server_metadata()
    assert metadata["name"] == "chest-xray-explainer"
    assert metadata["extensions"] == ["binary_tensor_data"]


@pytest.mark.parametrize("version", ["", "1.2.3"])
def test_a_model_is_ready_and_says_what_it_takes_and_gives(server, version):
    assert server.is_model_ready("tiny", version)
    metadata = server.get_model_metadata("tiny", version)
    assert metadata["versions"] == ["1.2.3"]
    shapes = {one["name"]: one["shape"] for one in metadata["inputs"] + metadata["outputs"]}
    assert shapes["pixels"] == [-1, 1, 32, 48]
    assert shapes["evidence"] == [-1, 3, 2, 4]
    assert shapes["film"] == shapes["distance"] == shapes["in_distribution"] == [-1]
    assert json.loads(metadata["parameters"]["class_names"]) == list(card().class_names)


def test_every_tensor_has_the_datatype_and_shape_that_the_metadata_promise(server):
    result = server.infer("tiny", [films(FILM, REFUSED_FILM)])
    for promised in server.get_model_metadata("tiny")["outputs"]:
        given = result.get_output(promised["name"])
        assert given["datatype"] == promised["datatype"]
        assert given["shape"] == [2, *promised["shape"][1:]]


def test_what_an_output_cannot_be_sent_as_is_refused_and_not_passed_over(server):
    for refused in (triton.InferRequestedOutput("probabilities", class_count=2), shared_memory()):
        with pytest.raises(InferenceServerException, match="class_count"):
            server.infer("tiny", [films(FILM)], outputs=[refused])


def shared_memory() -> triton.InferRequestedOutput:
    output = triton.InferRequestedOutput("probabilities")
    output.set_shared_memory("region", 12)
    return output


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_pixels_get_the_models_own_answer(server, model_file: Path, binary_in, binary_out):
    pixels = np.concatenate([PIXELS, PIXELS / 2])
    outputs = wanted("logits", "probabilities", "evidence", "distance", binary=binary_out)
    result = server.infer("tiny", [tensor("pixels", pixels, binary=binary_in)], outputs=outputs)
    answers = Explainer(model_file)(pixels)
    for name in ("logits", "probabilities", "evidence", "distance"):
        np.testing.assert_array_equal(result.as_numpy(name), getattr(answers, name))


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_a_film_gets_the_same_answer_as_under_v1(server, client, binary_in, binary_out):
    said = client.post("/v1/explain", content=FILM).json()
    result = server.infer(
        "tiny",
        [films(FILM, binary=binary_in)],
        outputs=wanted("evidence", "probabilities", "distance", binary=binary_out),
    )
    evidence = [finding["explanation"]["evidence"] for finding in said["findings"]]
    assert result.as_numpy("evidence")[0].tolist() == evidence
    probabilities = [finding["probability"] for finding in said["findings"]]
    assert result.as_numpy("probabilities")[0].tolist() == probabilities
    assert result.as_numpy("distance").tolist() == [said["distance"]]


def test_a_refused_film_keeps_its_tensors_and_is_called_so(server):
    result = server.infer("tiny", [films(FILM, REFUSED_FILM)])
    assert result.as_numpy("in_distribution").tolist() == [True, False]
    assert np.any(result.as_numpy("evidence")[1] > 0)
    parameters = result.get_response()["parameters"]
    assert parameters == {"evidence_scale": 1.2, "distance_threshold": 8.0}


def test_an_undecided_film_is_called_so(tmp_path: Path):
    app = create_app(
        Settings(models=write_model(tmp_path, confidence_threshold=0.99), own_models=False)
    )
    with serving(app) as client:
        asked = [{"name": "is_confident"}, {"name": "is_decided"}]
        body = {"inputs": [json_films(FILM)], "outputs": asked}
        response = client.post("/v2/models/tiny/infer", json=body).json()
    assert [one["data"] for one in response["outputs"]] == [[False], [False]]
    assert response["parameters"]["confidence_threshold"] == 0.99


def test_only_the_outputs_asked_for_are_sent_each_in_its_own_way(server):
    outputs = wanted("distance") + wanted("logits", binary=False)
    response = server.infer("tiny", [films(FILM)], outputs=outputs).get_response()
    distance, logits = response["outputs"]
    assert (distance["name"], distance["parameters"]) == ("distance", {"binary_data_size": 4})
    assert (logits["name"], len(logits["data"])) == ("logits", 3)


def test_the_requests_id_comes_back(server):
    assert server.infer("tiny", [films(FILM)], request_id="42").get_response()["id"] == "42"


@pytest.mark.parametrize(
    ("model", "version", "sentence"),
    [("huge", "", "The models here are tiny."), ("tiny", "9", "The version of tiny here is 1.2.3")],
)
def test_another_model_or_version_is_a_404_that_names_those_here(server, model, version, sentence):
    assert not server.is_model_ready(model, version)
    with pytest.raises(InferenceServerException, match=sentence) as problem:
        server.infer(model, [films(FILM)], model_version=version)
    assert problem.value.status() == "404"


def test_a_film_that_cannot_be_read_is_said_in_the_clients_own_words(server):
    with pytest.raises(InferenceServerException, match="must be a PNG, JPEG, TIFF or DICOM"):
        server.infer("tiny", [films(FILM, b"no film")])


def json_films(*files: bytes) -> dict:
    data = [base64.b64encode(file).decode() for file in files]
    return {"name": "film", "datatype": "BYTES", "shape": [len(files)], "data": data}


def test_an_error_is_a_problem_document_with_the_protocols_member(client):
    for path in ("/v2/models/huge", "/v2/nothing"):
        answer = client.get(path)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["error"] == answer.json()["detail"]
    assert "error" not in client.get("/v1/models/huge").json()


def test_a_body_longer_than_an_upload_may_be_is_a_413(model_file: Path):
    app = create_app(Settings(models=model_file, own_models=False, max_upload_bytes=1000))
    with serving(app) as client:
        assert client.post("/v2/models/tiny/infer", content=bytes(1001)).status_code == 413


def test_a_compressed_body_is_a_415(client):
    answer = client.post("/v2/models/tiny/infer", headers={"content-encoding": "gzip"})
    assert answer.status_code == 415


def test_what_is_answered_under_v2_is_not_stored(client):
    assert client.get("/v2/models/tiny").headers["cache-control"] == "no-store"
