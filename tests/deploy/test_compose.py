"""compose.yaml: confined services, and nothing in it that isn't there."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
OURS = SERVICES["service"]


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_every_service_is_confined(service: dict[str, Any]) -> None:
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_only_this_machine_reaches_a_port(service: dict[str, Any]) -> None:
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_every_mount_is_there_and_files_of_ours_are_read_only(service: dict[str, Any]) -> None:
    for source, _, *mode in (mount.split(":") for mount in service["volumes"]):
        if source.startswith("."):
            assert (ROOT / source).exists()
            assert mode == ["ro"]
        else:
            assert source in COMPOSE["volumes"]


def test_no_password_stands_in_the_environment() -> None:
    names = [name for service in SERVICES.values() for name in service.get("environment", {})]
    secret = [name for name in names if re.search("PASSWORD|SECRET|URL", name)]
    assert secret == ["POSTGRES_PASSWORD_FILE"]


def test_every_variable_of_the_server_is_a_setting() -> None:
    names = {name.removeprefix("CXR_").lower() for name in OURS["environment"]}
    assert names <= set(Settings.model_fields)


def test_the_server_is_given_the_time_it_takes_to_stop() -> None:
    assert int(OURS["stop_grace_period"].removesuffix("s")) > Settings().grace_seconds


def test_prometheus_asks_the_server_by_its_name_here() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    [job] = config["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["service:8000"]}]


def test_the_audit_trails_database_is_there_when_asked_for() -> None:
    assert [name for name, one in SERVICES.items() if one.get("profiles")] == ["postgres"]
