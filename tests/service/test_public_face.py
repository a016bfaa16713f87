"""What clients and operators rely on keeps its names: settings, problems, metrics, logs."""

import importlib
import io
import json
import logging

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.observability.logs import JsonFormatter
from service.problems import ServiceProblem
from service.settings import Settings
from service.watch.settings import WatchSettings
from tests.support.tiny_model import FILM, REFUSED_FILM

SERVER_SETTINGS = """
    HOST PORT MODELS OWN_MODELS DEFAULT_MODEL PRELOAD MODEL_MEMORY_BYTES PROVIDER PRECISION THREADS
    CONCURRENCY MAX_BATCH_SIZE MAX_BATCH_DELAY_SECONDS QUEUE_SIZE MAX_HELD_BYTES MAX_CONNECTIONS
    UPLOAD_SECONDS REQUEST_SECONDS ANSWER_SECONDS GRACE_SECONDS MAX_UPLOAD_BYTES MAX_FILM_PIXELS
    MAX_BATCH_BYTES MAX_BATCH_FILMS MAX_ZIP_RATIO AUTH API_KEYS_FILE LOG_FORMAT AUDIT_URL AUDIT_DAYS
    ALLOWED_HOSTS REVISION ROOT_PATH TRUSTED_PROXIES
"""
WATCH_SETTINGS = """
    JOURNAL LISTEN HOST EXPOSED AE_TITLE CALLERS POLL POLL_SECONDS POLL_DAYS SEND_TO STOW
    DICOMWEB_USER DICOMWEB_PASSWORD NETWORK_SECONDS RETRY_SECONDS MAX_FILM_BYTES MAX_WAITING_BYTES
    MAX_ASSOCIATIONS MAX_PEER_ASSOCIATIONS MAX_ATTEMPTS
"""
PROBLEMS = {
    400: "malformed-form malformed-tensor model-not-ready upload-interrupted",
    401: "missing-key unknown-key",
    403: "cross-site not-allowed",
    404: "audit-off unknown-model",
    406: "not-acceptable",
    408: "slow-upload",
    409: "film-refused reload-refused",
    413: "archive-too-large film-too-large upload-too-large",
    415: "not-an-image unsupported-media-type",
    421: "unknown-host",
    422: "bad-archive empty-upload malformed-mask missing-file no-map no-source-instance "
    "side-without-picture unknown-class unknown-parameter unreadable-film unsupported-film",
    429: "too-many-requests",
    500: "unsound-model",
    503: "audit-unavailable not-ready overloaded too-slow",
}
METRICS = {
    "cxr_batch_films": "model",
    "cxr_distance": "model",
    "cxr_expected_distance": "at_most model",
    "cxr_expected_score": "at_most class_name model",
    "cxr_films": "model outcome",
    "cxr_findings": "class_name decision model",
    "cxr_model_info": "model sha256 version",
    "cxr_model_loaded": "model",
    "cxr_predicted": "class_name model",
    "cxr_problems": "model type",
    "cxr_queue_films": "model",
    "cxr_refusals": "model reason",
    "cxr_request_duration_seconds": "method route status",
    "cxr_score": "class_name model",
    "cxr_stage_duration_seconds": "model stage",
}
LATE_METRICS = {
    "cxr_distance_psi": "model",
    "cxr_maps": "model status",
    "cxr_possible": "class_name model",
    "cxr_score_psi": "class_name model",
}
"""Absent until a model has answered enough films, was asked for a map, or has prediction sets."""
LOG_FIELDS = """
    ts level logger message request_id trace_id span_id method route status seconds bytes_in model
    problem
"""


def kinds(problem: type[ServiceProblem] = ServiceProblem) -> list[type[ServiceProblem]]:
    """Return the problems that have no kinds of their own."""
    below = problem.__subclasses__()
    return [kind for one in below for kind in kinds(one)] if below else [problem]


@pytest.mark.parametrize(
    ("settings", "names"), [(Settings, SERVER_SETTINGS), (WatchSettings, WATCH_SETTINGS)]
)
def test_the_settings_keep_their_names(settings, names: str):
    assert {name.upper() for name in settings.model_fields} == set(names.split())


def test_the_settings_keep_their_prefixes():
    prefixes = [one.model_config["env_prefix"] for one in (Settings, WatchSettings)]
    assert prefixes == ["CXR_", "CXR_WATCH_"]


def test_the_problems_keep_their_types_and_statuses():
    expected = {name: status for status, names in PROBLEMS.items() for name in names.split()}
    assert {problem.name(): problem.status for problem in kinds()} == expected
    prefix = "urn:problem-type:chest-xray-explainer:"
    assert {problem.type() for problem in kinds()} == {prefix + name for name in expected}


def test_the_metrics_keep_their_names_and_labels(client: httpx.Client):
    for film in (FILM, REFUSED_FILM, b"no film"):
        client.post("/v1/predict", content=film)
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        if family.name.startswith("cxr_") and not family.name.endswith("_created"):
            labels = found.setdefault(family.name, set())
            for sample in family.samples:
                labels |= set(sample.labels) - ({"le"} if family.type == "histogram" else set())
    early = {name: " ".join(sorted(labels)) for name, labels in found.items() if labels}
    assert {**LATE_METRICS, **early} == METRICS | LATE_METRICS


def test_a_line_of_the_json_log_keeps_its_fields(client: httpx.Client):
    logger, written = logging.getLogger("service"), io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    client.post("/v1/predict", content=b"no film")
    client.get("/health/live")  # is not logged; what came before it is, by now
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
    assert list(json.loads(written.getvalue())) == LOG_FIELDS.split()


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("models.radiograph", "network_pixels read_radiograph"),
        ("xai.explainer", "Explainer"),
        ("xai.heatmap", "film_heat heat overlay"),
        ("service.client", "Client"),
        ("service.app", "create_app"),
    ],
)
def test_what_readme_imports_keeps_its_place(module: str, names: str):
    assert set(names.split()) <= set(dir(importlib.import_module(module)))
