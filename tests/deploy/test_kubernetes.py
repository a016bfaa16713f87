"""The manifests fit each other, the image, and the server's settings."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.app import create_app
from service.settings import Settings

FOLDER = Path(__file__).parents[2] / "deploy/kubernetes"


def manifest(name: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())


POD = manifest("deployment")["spec"]["template"]["spec"]
[CONTAINER] = POD["containers"]
LABELS = manifest("deployment")["spec"]["template"]["metadata"]["labels"]


def test_kustomize_knows_every_file() -> None:
    listed = set(manifest("kustomization")["resources"])
    assert listed == {file.name for file in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_every_probe_asks_a_route_of_ours(probe: str) -> None:
    asked = CONTAINER[probe]["httpGet"]
    assert asked["path"] in create_app(Settings()).openapi()["paths"]
    assert asked["port"] in {port["name"] for port in CONTAINER["ports"]}


def test_a_busy_server_is_not_killed_for_it() -> None:
    assert CONTAINER["livenessProbe"]["httpGet"]["path"] == "/health/live"


def test_pods_may_run_in_a_namespace_of_the_restricted_profile() -> None:
    labels = manifest("namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert POD["securityContext"]["runAsNonRoot"]
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_pods_run_as_the_images_user() -> None:
    dockerfile = (FOLDER.parents[1] / "Dockerfile").read_text()
    user, group = re.search(r"^USER (\d+):(\d+)$", dockerfile, re.MULTILINE).groups()
    assert POD["securityContext"]["runAsUser"] == int(user)
    assert POD["securityContext"]["runAsGroup"] == int(group)


def test_pods_are_given_the_time_they_take_to_stop() -> None:
    _, pause = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
    assert POD["terminationGracePeriodSeconds"] > int(pause) + Settings().grace_seconds


def test_every_variable_is_a_setting() -> None:
    names = {one["name"].removeprefix("CXR_").lower() for one in CONTAINER["env"]}
    assert names <= set(Settings.model_fields)


def test_every_selector_finds_the_pods() -> None:
    selectors = [
        manifest("deployment")["spec"]["selector"]["matchLabels"],
        manifest("service")["spec"]["selector"],
        manifest("pod-disruption-budget")["spec"]["selector"]["matchLabels"],
        manifest("network-policy")["spec"]["podSelector"]["matchLabels"],
        *(one["labelSelector"]["matchLabels"] for one in POD["topologySpreadConstraints"]),
    ]
    assert all(selector == LABELS for selector in selectors)


def test_the_monitor_finds_the_service() -> None:
    monitor = manifest("monitoring/service-monitor")
    service = manifest("service")
    assert monitor["spec"]["selector"]["matchLabels"] == service["metadata"]["labels"]
    assert monitor["metadata"]["namespace"] == manifest("namespace")["metadata"]["name"]


def test_nothing_may_leave_and_not_everybody_may_enter() -> None:
    policy = manifest("network-policy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policy
    assert all(rule["from"] for rule in policy["ingress"])


def test_the_autoscaler_asks_for_what_the_adapter_makes_of_a_figure_of_ours() -> None:
    [rule] = manifest("monitoring/prometheus-adapter")["rules"]["custom"]
    [metric] = manifest("autoscaler")["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]
    series = re.match(r"\w+", rule["seriesQuery"])[0]
    registry = create_app(Settings()).state.metrics.registry
    assert series.removesuffix("_bucket") in {family.name for family in registry.collect()}
