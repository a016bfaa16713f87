"""What the Dockerfile says of other files is true; `test_image.py` builds it."""

import re
import tomllib
from pathlib import Path

from service.app import create_app
from service.settings import OWN_MODELS, Settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def said(pattern: str) -> str:
    return re.search(pattern, DOCKERFILE, re.MULTILINE)[1]


def test_all_our_models_go_into_it_unless_told_otherwise() -> None:
    models = said(r'^ARG MODELS="(.*)"').split("|")
    assert models == sorted(file.stem for file in OWN_MODELS.glob("*.onnx"))


def test_a_build_with_one_model_keeps_that_models_files_and_the_terms_of_the_weights() -> None:
    kept = re.compile(said(r'! -regex "(.*)" -delete').replace("${MODELS}", "vgg16"))
    names = {file.name for file in OWN_MODELS.iterdir() if kept.fullmatch(str(file))}
    ours = {file.name for file in OWN_MODELS.glob("vgg16.*")}
    assert names == ours | {"TERMS.md", "ensemble.json"}  # which answers where all its members are


def test_its_extras_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(said(r"^ARG EXTRAS=(.*)").split(",")) <= set(project["optional-dependencies"])


def test_nothing_that_the_context_needs_is_left_out_of_it() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    assert {f"!{path}" for line in copied for path in line.split()} == set(ignored[1:-1])


def test_its_base_image_is_pinned_and_everything_is_built_on_it() -> None:
    assert re.fullmatch(
        r"python:3\.11-slim-bookworm@sha256:[0-9a-f]{64}", said("^ARG PYTHON_IMAGE=(.+)")
    )
    stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?", DOCKERFILE, re.MULTILINE)
    assert {base for base, _ in stages} <= {"${PYTHON_IMAGE}", *(name for _, name in stages)}


def test_its_health_check_asks_a_route_of_ours() -> None:
    path = said(r"http://127\.0\.0\.1:.*?\}(/[a-z/]+)")
    assert path in create_app(Settings()).openapi()["paths"]


def test_it_runs_as_nobody_that_the_host_knows() -> None:
    user, group = said(r"^USER (\d+:\d+)$").split(":")
    assert int(user) > 10000
    assert int(group) > 10000
