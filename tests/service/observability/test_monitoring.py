"""The files for Prometheus and Grafana speak of figures that the server shows."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.docs.test_links import anchors

PROMTOOL = shutil.which("promtool")
DEPLOY = Path(__file__).parents[3] / "deploy"
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


def rules() -> list[dict[str, str]]:
    [group] = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"]
    return group["rules"]


def panels() -> list[dict]:
    return json.loads((DEPLOY / "grafana/dashboard.json").read_text())["panels"]


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])


@pytest.fixture(scope="session")
def shown(client: httpx.Client) -> set[str]:
    """Every name on the page, with the suffixes of its kind, and what Prometheus adds."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    kinds = [(family.name, SUFFIXES.get(family.type, ())) for family in families]
    return {"up"} | {name + suffix for name, suffixes in kinds for suffix in suffixes}


@pytest.mark.parametrize("expression", list(expressions()))
def test_every_figure_asked_for_is_shown(expression: str, shown: set[str]):
    asked = set(re.findall(r"\b(?:cxr_\w+|process_\w+|up)\b", expression))
    assert asked
    assert asked <= shown


def test_every_alert_says_how_urgent_it_is_and_in_words_why():
    for rule in rules():
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"].endswith(".")


def test_every_alert_leads_to_a_heading_that_says_what_to_do():
    for rule in rules():
        page, _, heading = rule["annotations"]["runbook_url"].partition("#")
        assert heading in anchors(DEPLOY.parent / page)


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_promtool_takes_the_rules():
    subprocess.run([PROMTOOL, "check", "rules", DEPLOY / "prometheus/alerts.yml"], check=True)


def test_panels_lie_beside_each_other_and_have_a_title_each():
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels()}
    assert len(places) == len({panel["title"] for panel in panels()}) == len(panels())


def test_prometheus_asks_the_service_and_knows_the_rules():
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    [job] = config["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["service:8000"]}]
    assert all((DEPLOY / "prometheus" / file).exists() for file in config["rule_files"])
    assert all(f'job="{job["job_name"]}"' in one for one in expressions() if "job=" in one)
