"""Requests of Open Inference Protocol v2 that no well-meaning client sends."""

import json
import struct

import httpx
import numpy as np
import pytest

from tests.support.tiny_model import FILM

SHAPE = [1, 1, 32, 48]
ZEROS = [0.0] * (32 * 48)


def pixels(**changes: object) -> dict:
    one = {"name": "pixels", "datatype": "FP32", "shape": SHAPE, "data": ZEROS}
    return {key: value for key, value in (one | changes).items() if value is not None}


def film(**changes: object) -> dict:
    one = {"name": "film", "datatype": "BYTES", "shape": [1], "data": [""]}
    return {key: value for key, value in (one | changes).items() if value is not None}


def infer(client: httpx.Client, body: bytes, json_length: int | str | None = None):
    headers = {} if json_length is None else {"inference-header-content-length": str(json_length)}
    return client.post("/v2/models/tiny/infer", content=body, headers=headers)


def refusal(client: httpx.Client, body: bytes, json_length: int | str | None = None) -> str:
    answer = infer(client, body, json_length)
    problem = answer.json()
    assert (answer.status_code, problem["title"]) == (400, "Malformed tensor"), problem
    return problem["error"]


def behind(one: dict, binary: bytes, size: int | None = None) -> tuple[bytes, int]:
    size = len(binary) if size is None else size
    text = json.dumps({"inputs": [one | {"parameters": {"binary_data_size": size}}]}).encode()
    return text + binary, len(text)


def test_nested_data_are_read_as_flat_ones_are(client):
    nested = np.zeros(SHAPE).tolist()
    bodies = [{"inputs": [pixels(data=data)]} for data in (ZEROS, nested)]
    flat, deep = (infer(client, json.dumps(body).encode()).json() for body in bodies)
    assert flat["outputs"] == deep["outputs"]


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b'{"inputs": [' + b"[" * 100_000, b"\x00" * 99],
    ids=["empty", "cut", "list", "null", "no inputs", "no text", "deep", "zeros"],
)
def test_a_body_that_is_no_request_is_a_400(client, text):
    refusal(client, text)


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"inputs": []}, "Send one input"),
        ({"inputs": [pixels(), film()]}, "Send one input"),
        ({"inputs": [pixels(name="Jane_Doe")]}, "Send one input"),
        ({"inputs": [pixels(datatype="FP64")]}, "datatype of pixels must be FP32"),
        ({"inputs": [film(datatype="FP32")]}, "datatype of film must be BYTES"),
        ({"inputs": [pixels(shape=[1])]}, "must be [batch, 1, 32, 48]"),
        ({"inputs": [pixels(shape=[1, 3, 32, 48])]}, "must be [batch, 1, 32, 48]"),
        ({"inputs": [pixels(shape=[-1, 1, 32, 48])]}, "greater than or equal to 0"),
        ({"inputs": [pixels(shape=[0, 1, 32, 48], data=[])]}, "a batch of 1 to 8"),
        ({"inputs": [film(shape=[9], data=[""] * 9)]}, "a batch of 1 to 8"),
        ({"inputs": [film(shape=[])]}, "at least 1 item"),
        ({"inputs": [film(shape=[10**30])]}, "a batch of 1 to 8"),
        ({"inputs": [pixels(shape=[True, 1, 32, 48])]}, "valid integer"),
        ({"inputs": [pixels(data=None)]}, "either data or a binary_data_size"),
        ({"inputs": [pixels(data=ZEROS[1:])]}, "don't fill the shape"),
        ({"inputs": [pixels(data=[*ZEROS, 0])]}, "don't fill the shape"),
        ({"inputs": [pixels(data=["0", *ZEROS[1:]])]}, "numbers from 0 to 1"),
        ({"inputs": [pixels(data=[True, *ZEROS[1:]])]}, "numbers from 0 to 1"),
        ({"inputs": [pixels(data=[None, *ZEROS[1:]])]}, "numbers from 0 to 1"),
        ({"inputs": [pixels(data=[{}, *ZEROS[1:]])]}, "numbers from 0 to 1"),
        ({"inputs": [pixels(data=[1.001, *ZEROS[1:]])]}, "numbers from 0 to 1"),
        ({"inputs": [pixels(data=[float("nan"), *ZEROS[1:]])]}, "numbers from 0 to 1"),
        ({"inputs": [pixels(data=[float("inf"), *ZEROS[1:]])]}, "numbers from 0 to 1"),
        ({"inputs": [pixels(data=[10**400, *ZEROS[1:]])]}, "numbers from 0 to 1"),
        ({"inputs": [pixels(data=[0] * 100_000)]}, "at most"),
        ({"inputs": [film(data=["not base64"])]}, "base64"),
        ({"inputs": [film(data=["ümläut"])]}, "base64"),
        ({"inputs": [film(data=[7])]}, "base64"),
        ({"inputs": [film(data=["", ""])]}, "are 2 files, not 1"),
        ({"inputs": [pixels()], "outputs": [{"name": "Jane_Doe"}]}, "only for these outputs"),
        ({"inputs": [pixels()], "outputs": [{"name": "logits"}] * 2}, "each once"),
        ({"inputs": [pixels()], "id": 7}, "id: Input should be a valid string"),
    ],
)
def test_a_request_with_a_fault_is_a_400_that_says_which(client, request_, sentence):
    said = refusal(client, json.dumps(request_).encode())
    assert sentence in said
    assert "Jane_Doe" not in said


@pytest.mark.parametrize("json_length", ["", "-1", "1e3", "0x10", "999999", "9" * 5000, "²"])
def test_a_lying_json_length_is_a_400(client, json_length):
    body = json.dumps({"inputs": [pixels()]}).encode()
    headers = {b"inference-header-content-length": json_length.encode("latin-1")}
    answer = client.post("/v2/models/tiny/infer", content=body, headers=headers)
    assert answer.status_code == 400


@pytest.mark.parametrize("size", [0, 6143, 6145, 2**70])
def test_a_lying_size_of_binary_data_is_a_400(client, size):
    assert "bytes" in refusal(client, *behind(pixels(data=None), bytes(6144), size))


def test_binary_data_without_the_header_are_a_400(client):
    refusal(client, behind(pixels(data=None), bytes(6144))[0])


@pytest.mark.parametrize("count", [0, 1, 6143, 6148])
def test_binary_pixels_of_another_length_are_a_400(client, count):
    assert "don't fill the shape" in refusal(client, *behind(pixels(data=None), bytes(count)))


@pytest.mark.parametrize(
    "value", [b"\0\0\xc0\x7f", b"\1\0\xa0\x7f", b"\0\0\x80\xff", b"\0\0\0\xbf"]
)
def test_binary_pixels_that_are_no_shares_of_white_are_a_400(client, value):
    assert "from 0 to 1" in refusal(client, *behind(pixels(data=None), value * 1536))


@pytest.mark.parametrize(
    "binary",
    [
        b"",
        b"\5\0\0",
        struct.pack("<I", len(FILM) + 1) + FILM,
        struct.pack("<I", 2**32 - 1) + FILM,
        struct.pack("<I", len(FILM)) + FILM + b"\0",
    ],
    ids=["nothing", "half a length", "cut", "huge", "more"],
)
def test_binary_films_whose_lengths_lie_are_a_400(client, binary):
    refusal(client, *behind(film(data=None), binary))


def test_members_that_other_servers_know_are_passed_over(client):
    one = film(data=None) | {"parameters": {"binary_data_size": 4 + len(FILM), "content_type": "x"}}
    request = {"inputs": [one], "parameters": {"priority": 1, "timeout": 5}, "sequence": 3}
    text = json.dumps(request).encode()
    assert infer(client, text + struct.pack("<I", len(FILM)) + FILM, len(text)).status_code == 200


def test_no_mutation_of_a_request_is_a_fault_of_the_server(client):
    valid, length = behind(film(data=None), struct.pack("<I", len(FILM)) + FILM)
    random = np.random.default_rng(5)
    for _ in range(300):
        body = bytearray(valid)
        for place in random.integers(len(body), size=random.integers(1, 6)):
            body[place] = random.integers(256)
        cut = random.integers(1, len(body) + 1)
        headers = {"inference-header-content-length": str(length + random.integers(-1, 2))}
        answer = client.post("/v2/models/tiny/infer", content=bytes(body[:cut]), headers=headers)
        assert answer.status_code in (200, 400, 413, 415, 422), bytes(body[:cut])
