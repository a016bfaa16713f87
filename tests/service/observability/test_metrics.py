"""What /metrics shows after films and other requests."""

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from models.card import Histogram
from service.app import create_app
from service.settings import Settings
from tests.support.running_server import serving
from tests.support.tiny_model import FILM, REFUSED_FILM, write_model

SCORES = Histogram(edges=(0, 0.25, 0.5, 1), counts=(20, 60, 20))
DISTANCES = Histogram(edges=(0, 3, 6, 9), counts=(10, 80, 10))
DRIFT = {"score_histograms": [SCORES] * 3, "distance_histogram": DISTANCES}

Value = Callable[..., float | None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_model(tmp_path, **DRIFT)
    write_model(tmp_path, name="shy", confidence_threshold=0.99, **DRIFT)
    return tmp_path


@pytest.fixture
def client(folder: Path) -> Iterator[httpx.Client]:
    settings = Settings(models=folder, own_models=False, default_model="tiny")
    with serving(create_app(settings)) as client:
        yield client


@pytest.fixture
def value(client: httpx.Client) -> Value:
    """Returns the figure of a name with these labels, and None where there is none.

    It looks for half a second: a request is counted once its answer is sent.
    """

    def found(name: str, **labels: str) -> float | None:
        for _ in range(10):
            for family in plain_text(client.get("/metrics").text):
                for sample in family.samples:
                    if sample.name == name and labels.items() <= sample.labels.items():
                        return sample.value
            time.sleep(0.05)
        return None

    return found


@pytest.mark.parametrize(
    ("model", "film", "outcome", "decision"),
    [
        ("tiny", FILM, "decided", "absent"),
        ("shy", FILM, "unsure", "undecided"),
        ("tiny", REFUSED_FILM, "refused", "undecided"),
    ],
)
def test_a_film_is_counted_with_what_became_of_it(
    client: httpx.Client, value: Value, model: str, film: bytes, outcome: str, decision: str
):
    client.post("/v1/predict", params={"model": model}, content=film)
    assert value("cxr_films_total", model=model, outcome=outcome) == 1
    assert value("cxr_findings_total", class_name="pneumonia", decision=decision) == 1
    assert value("cxr_findings_total", model="shy" if model == "tiny" else "tiny") is None


def test_a_masked_film_is_no_film_to_count(client: httpx.Client, value: Value):
    masked = client.post("/v1/predict?mask=0,0,9,9&model=tiny", content=FILM)
    assert masked.status_code == 200
    client.post("/v1/predict?model=tiny", content=FILM)
    assert value("cxr_batch_films_count", model="tiny") == 2
    assert value("cxr_films_total", model="tiny") == 1
    assert value("cxr_distance_count", model="tiny") == 1
    assert value("cxr_findings_total", model="tiny", class_name="effusion") == 1


def test_every_stage_of_a_film_is_timed(client: httpx.Client, value: Value):
    client.post("/v1/explain", content=FILM)
    for stage in ("upload", "decode", "queue", "inference", "encode"):
        assert value("cxr_stage_duration_seconds_count", stage=stage) == 1
        assert 0 < value("cxr_stage_duration_seconds_sum", stage=stage) < 5
    assert value("cxr_batch_films_bucket", model="tiny", le="1.0") == 1


def test_requests_are_counted_by_the_template_of_their_route(client: httpx.Client, value: Value):
    client.get("/v1/models/tiny")
    client.get("/v1/models/huge")
    requests = "cxr_request_duration_seconds_count"
    assert value(requests, route="/v1/models/{name}", method="GET", status="200") == 1
    assert value(requests, route="/v1/models/{name}", method="GET", status="404") == 1


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v2/models/tiny", "/v2/models/{name}"),
        ("/v2/models/tiny/versions/1.2.3", "/v2/models/{name}/versions/{version}"),
        ("/docs/swagger/start.js", "/{page}"),
        ("/", "/{page}"),
    ],
)
def test_a_template_has_the_prefixes_of_its_routers(
    client: httpx.Client, value: Value, path: str, route: str
):
    assert client.get(path).status_code == 200
    assert value("cxr_request_duration_seconds_count", route=route, status="200") == 1


def test_rare_methods_are_counted_together(client: httpx.Client, value: Value):
    for method in ("PROPFIND", "MKCOL"):
        client.request(method, "/v1/predict")
    requests = "cxr_request_duration_seconds_count"
    assert value(requests, route="/v1/predict", method="other", status="405") == 2


def test_a_client_can_make_no_label(client: httpx.Client):
    client.get("/Doe")
    client.get("/v1/models/Doe")
    client.post("/v1/predict?model=Doe&Doe=1", content=FILM, headers={"X-Request-ID": "Doe"})
    client.post("/v1/predict", files={"file": ("Doe.png", b"Doe")})
    assert "doe" not in client.get("/metrics").text.lower()


def test_problems_are_counted_by_type_and_model(client: httpx.Client, value: Value):
    client.post("/v1/predict?model=shy", content=b"no film")
    client.post("/v1/predict?model=huge", content=FILM)
    assert value("cxr_problems_total", type="not-an-image", model="shy") == 1
    assert value("cxr_problems_total", type="unknown-model", model="") == 1


def test_the_models_are_shown_with_version_and_hash(client: httpx.Client, value: Value):
    sha256 = {one["name"]: one["sha256"] for one in client.get("/v1/models").json()["models"]}
    tiny = {"model": "tiny", "version": "1.2.3", "sha256": sha256["tiny"][:12]}
    assert value("cxr_model_info", **tiny) == 1
    assert value("cxr_model_loaded", model="shy") == 0
    client.post("/v1/predict?model=shy", content=FILM)
    assert value("cxr_model_loaded", model="shy") == 1


def test_films_that_wait_are_shown(client: httpx.Client, value: Value):
    def slow_film() -> Iterator[bytes]:
        yield FILM[:10]
        assert value("cxr_queue_films", model="tiny") == 1
        yield FILM[10:]

    assert client.post("/v1/predict", content=slow_film()).status_code == 200
    assert value("cxr_queue_films", model="tiny") == 0


def test_the_films_of_today_stand_beside_those_of_the_card(client: httpx.Client, value: Value):
    client.post("/v1/predict", content=FILM)  # distance 4
    client.post("/v1/predict", content=REFUSED_FILM)  # distance 9.5: beyond the edges
    shown = [
        [value(name, model="tiny", **{label: edge}) for edge in ("3.0", "6.0", "+Inf")]
        for name, label in (("cxr_distance_bucket", "le"), ("cxr_expected_distance", "at_most"))
    ]
    assert shown == [[0, 1, 2], [10, 90, 100]]
    assert value("cxr_distance_sum", model="tiny") == pytest.approx(13.5, abs=0.1)
    assert value("cxr_score_count", model="tiny", class_name="effusion") == 2
    assert value("cxr_expected_score", model="tiny", class_name="effusion", at_most="0.5") == 80


def test_drift_is_shown_from_a_hundred_films_on(client: httpx.Client, value: Value):
    for _ in range(99):
        client.post("/v1/predict", content=FILM)
    assert value("cxr_distance_psi") is None
    client.post("/v1/predict", content=FILM)
    assert value("cxr_distance_psi", model="tiny") > 0.25
    assert value("cxr_score_psi", model="tiny", class_name="normal") > 0.25
    assert value("cxr_distance_psi", model="shy") is None


def test_another_card_begins_a_new_comparison(
    client: httpx.Client, value: Value, folder: Path, tmp_path_factory
):
    client.post("/v1/predict", content=FILM)
    client.post("/v1/models/tiny/reload")
    assert value("cxr_distance_count", model="tiny") == 1
    other = write_model(tmp_path_factory.mktemp("other"), version="2.0.0", **DRIFT)
    shutil.copy(other, folder)
    client.post("/v1/models/tiny/reload")
    assert value("cxr_distance_count", model="tiny") == 0
    assert value("cxr_model_info", model="tiny", version="2.0.0") == 1


def test_the_page_is_text_or_open_metrics_as_asked(client: httpx.Client):
    text = client.get("/metrics")
    assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
    open_text = client.get("/metrics", headers={"accept": "application/openmetrics-text"})
    assert open_text.headers["content-type"].startswith("application/openmetrics-text; version=1.")
    names = [
        {family.name for family in parsed}
        for parsed in (plain_text(text.text), open_metrics(open_text.text))
    ]
    assert names[0] == names[1]


PROMTOOL = shutil.which("promtool")
PARTS = ("_bucket", "_count", "_sum")
TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}
SHORT_UNITS = {"s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"}


def complaints(page: str) -> Iterator[str]:
    """Yield what `promtool check metrics` finds, by the same rules (prometheus/util/promlint)."""
    for family in plain_text(page):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = set().union(*(sample.labels for sample in family.samples))
        if not family.documentation:
            yield f"{name} has no help text"
        if name.endswith("_total") != (family.type == "counter") or name.endswith(PARTS):
            yield f"{name} has an ending of another type than {family.type}"
        if ("le" in labels and family.type != "histogram") or "quantile" in labels:
            yield f"{name} has a label that is kept for other types"
        if TYPES & set(name.split("_")):
            yield f"{name} contains a type"
        if SHORT_UNITS & set(name.split("_")):
            yield f"{name} contains the short form of a unit"
        for one in {name, *labels}:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", one):
                yield f"{one} is not in lower case with underscores"


@pytest.fixture
def full_page(client: httpx.Client) -> str:
    """The page with every kind of figure on it."""
    for film in (*[FILM] * 100, REFUSED_FILM, b"no film"):
        client.post("/v1/predict", content=film)
    page = client.get("/metrics").text
    assert all(name in page for name in ("cxr_refusals_total{", "cxr_distance_psi{"))
    return page


def test_the_page_is_as_promtool_wants_it(full_page: str):
    assert list(complaints(full_page)) == []


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_promtool_itself_finds_nothing(full_page: str):
    command = [PROMTOOL, "check", "metrics"]
    done = subprocess.run(command, input=full_page, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_each_complaint_would_be_found():
    page = (
        "# TYPE wrong_total gauge\nwrong_total 1\n"
        '# HELP a_gauge A.\n# TYPE a_gauge gauge\na_gauge{le="1"} 1\n'
        "# HELP aB_ms A.\n# TYPE aB_ms gauge\naB_ms 1\n"
    )
    assert len(list(complaints(page))) == 6


@pytest.mark.parametrize("kind", ["text/plain", "application/openmetrics-text"])
def test_an_odd_version_in_accept_is_no_fault_of_ours(client: httpx.Client, kind: str):
    assert client.get("/metrics", headers={"accept": f"{kind}; version=odd"}).status_code == 200


def test_each_application_counts_for_itself(client: httpx.Client, value: Value):
    create_app(Settings(own_models=False)).state.metrics.problem("tiny", "bad-archive")
    assert value("cxr_problems_total", type="bad-archive") is None
