"""The image, built and run for real: `make container-test`."""

import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.settings import OWN_MODELS
from tests.support.running_container import (
    CONFINED,
    ROOT,
    Container,
    build,
    podman,
    running,
    what_is_missing,
)

pytestmark = pytest.mark.container
FILM = (ROOT / "service/viewer/samples/normal.jpg").read_bytes()
NAMES = sorted(file.stem for file in OWN_MODELS.glob("*.onnx"))
MEGABYTE = 10**6


@pytest.fixture(scope="session")
def image() -> str:
    if reason := what_is_missing():
        pytest.skip(reason)
    return build("localhost/cxr:test")


@pytest.fixture(scope="session")
def small_image(image: str) -> str:
    return build("localhost/cxr:test-chest_cnn", MODELS="chest_cnn")


@pytest.fixture(scope="session")
def container(image: str) -> Iterator[Container]:
    with running(image) as container:
        yield container


def megabytes(image: str) -> float:
    return int(podman("image", "inspect", "--format={{.Size}}", image).stdout) / MEGABYTE


def test_it_has_at_most_600_megabytes_and_450_with_the_default_model(
    image: str, small_image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\nimage: {megabytes(image):.0f} MB; chest_cnn: {megabytes(small_image):.0f} MB")
    assert megabytes(image) <= 600
    assert megabytes(small_image) <= 450


def test_it_is_ready_in_3_seconds(small_image: str, capsys: pytest.CaptureFixture[str]) -> None:
    seconds = []
    for _ in range(3):
        with running(small_image) as container:
            seconds.append(container.seconds)
    with capsys.disabled():
        print("\nready after", ", ".join(f"{one:.1f} s" for one in seconds))
    assert min(seconds) <= 3  # whatever else runs here can only delay it


def test_it_answers_with_our_models(container: Container) -> None:
    assert [one["name"] for one in container.client.get("/v1/models").json()["models"]] == NAMES
    for name in NAMES:
        answer = container.client.post(f"/v1/predict?model={name}", content=FILM)
        assert answer.json()["model"]["name"] == name


def test_a_build_may_leave_models_out(small_image: str) -> None:
    with running(small_image) as container:
        [model] = container.client.get("/v1/models").json()["models"]
        assert model["name"] == "chest_cnn"


def test_dicom_is_decoded_although_no_file_can_be_written(
    container: Container, shared: Path
) -> None:
    film = (shared / "data/dicom/cr_chest_pa_mono1_j2k_lossless.dcm").read_bytes()
    answer = container.client.post("/v1/predict", content=film)
    assert answer.json()["film"]["format"] == "dicom"


def test_the_page_is_there(container: Container) -> None:
    for path in ("/", "/docs", "/metrics"):
        assert container.client.get(path).status_code == 200


def test_it_runs_as_nobody_that_the_host_knows(container: Container) -> None:
    assert int(container.run("id", "--user").stdout) > 10000
    assert int(container.run("id", "--group").stdout) > 10000


def test_it_has_no_capability(container: Container) -> None:
    status = container.run("cat", "/proc/1/status").stdout
    assert {line.split()[1] for line in status.splitlines() if line.startswith("Cap")} == {"0" * 16}


def test_nothing_of_it_can_be_written(container: Container) -> None:
    assert container.run("find", "/", "-xdev", "-type", "f", "-writable").stdout == ""
    refused = container.run("touch", "/tmp/file", "/opt/cxr/file", "/file").stderr
    assert refused.count("Read-only") == 3


def test_files_of_the_server_belong_to_root(container: Container) -> None:
    assert container.run("find", "/opt", "!", "-user", "root").stdout == ""
    assert container.run("find", "/opt", "-perm", "/022", "!", "-type", "l").stdout == ""


def test_there_is_no_compiler_and_no_pip(container: Container) -> None:
    for program in ("cc", "gcc", "g++", "clang", "make", "pip", "pip3", "git", "curl"):
        assert container.run("sh", "-c", f"command -v {program}").stdout == ""
    for module in ("pip", "ensurepip", "setuptools"):
        assert "No module named" in container.run("python", "-c", f"import {module}").stderr


def test_there_are_no_tests_and_no_stray_bytecode(container: Container) -> None:
    named = ("(", "-name", "tests", "-o", "-name", "__pycache__", ")")
    assert container.run("find", "/opt", *named).stdout == ""
    assert container.run("find", "/root", "/tmp", "/var/cache", "-name", "*pip*").stdout == ""


def test_what_the_server_loads_is_compiled(container: Container) -> None:
    loaded = container.run("python", "-v", "-c", "import service.commands.serve").stderr
    assert "code object from '/opt/bytecode/" in loaded
    assert "code object from /" not in loaded  # a source, which Python had to compile


def test_its_health_check_follows_the_port(container: Container, image: str) -> None:
    assert podman("healthcheck", "run", container.id, check=False).returncode == 0
    check = json.loads(podman("image", "inspect", image).stdout)[0]["Healthcheck"]["Test"][1:]
    closed = podman("run", "--rm", "--env=CXR_PORT=9", image, *check, check=False)
    assert closed.returncode == 1


def test_without_keys_it_refuses_to_start_and_says_the_remedy(image: str) -> None:
    ended = podman("run", "--rm", *CONFINED, image, check=False)
    assert ended.returncode == 1
    assert "CXR_API_KEYS_FILE" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_secret_is_a_setting(image: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)  # pytest's own is closed to the container's user
    (tmp_path / "cxr_default_model").write_text("vgg16\n")
    with running(image, f"--volume={tmp_path}:/run/secrets:ro") as container:
        assert container.client.post("/v1/predict", content=FILM).json()["model"]["name"] == "vgg16"


def test_it_keeps_an_audit_trail_in_a_volume(image: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    trail = ("--env=CXR_AUDIT_URL=sqlite:////audit/trail.sqlite", f"--volume={tmp_path}:/audit")
    with running(image, *trail) as container:
        assert container.client.post("/v1/predict", content=FILM).is_success
        assert len(container.client.get("/v1/audit").json()["rows"]) == 1


def test_all_models_fit_into_a_gigabyte(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--memory=1g" in CONFINED
    with running(image, "--env=CXR_PRELOAD=all") as container:
        assert all(one["is_loaded"] for one in container.client.get("/v1/models").json()["models"])
        assert container.client.post("/v1/predict?model=all", content=FILM).is_success
        peak, now = container.memory("VmHWM"), container.memory("VmRSS")
    with capsys.disabled():
        print(f"\nall models: {peak / MEGABYTE:.0f} MB to load, {now / MEGABYTE:.0f} MB to hold")
    assert now < 800 * MEGABYTE


def test_told_to_stop_it_answers_what_it_accepted_and_takes_nothing_new(image: str) -> None:
    with running(image) as container:
        address = container.client.base_url
        connection = http.client.HTTPConnection(address.host, address.port, timeout=20)
        connection.putrequest("POST", "/v1/predict")
        connection.putheader("Content-Length", str(len(FILM)))
        connection.endheaders(FILM[:100])
        container.client.get("/health/live")  # by now the film's head has been read too
        podman("kill", "--signal=TERM", container.id)
        with pytest.raises(httpx.ConnectError):
            ask_until_refused(str(address))
        connection.send(FILM[100:])
        assert connection.getresponse().status == 200
        connection.close()
        assert podman("wait", container.id).stdout.strip() == "0"


def ask_until_refused(address: str) -> None:
    for _ in range(50):
        httpx.get(f"{address}/health/live")
        time.sleep(0.1)
