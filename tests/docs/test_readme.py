"""What README says is true: its table, its examples, its links."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

import cxr
from docs.scripts.insert_results import EVALUATION, refusals, with_tables
from service.app import create_app
from service.settings import OWN_MODELS, Settings
from tests.support import published
from tests.support.running_server import serving
from xai.explainer import Explainer

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands(start: str) -> list[str]:
    """Return the command lines that begin so, or whose last command does."""
    lines = [line.split("  #")[0] for line in "\n".join(blocks("sh")).splitlines()]
    return [line for line in lines if line.startswith(start) or f" | {start}" in line]


def test_the_results_tables_are_what_the_evaluation_wrote() -> None:
    assert with_tables(README, json.loads(EVALUATION.read_text()), refusals()) == README


def test_the_evaluation_is_of_the_models_in_the_box() -> None:
    measured = {model["sha256"] for model in json.loads(EVALUATION.read_text())["models"]}
    assert measured >= {Explainer(file).sha256 for file in OWN_MODELS.glob("*.onnx")}


def test_the_default_model_has_at_most_12_megabytes() -> None:
    assert (OWN_MODELS / "chest_cnn.onnx").stat().st_size <= 12e6


def test_the_models_in_the_box_are_no_heavier_than_promised() -> None:
    sizes = [file.stat().st_size for file in OWN_MODELS.glob("*.onnx")]
    assert max(sizes) <= 95e6
    assert sum(sizes) <= 130e6


@pytest.mark.service
def test_the_python_examples_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    asking, alone = blocks("python")
    with serving(create_app(Settings())) as client:
        asking = asking.replace("http://127.0.0.1:8000", str(client.base_url))
        exec(compile(asking, "README.md", "exec"), {})
    exec(compile(alone, "README.md", "exec"), {})
    assert re.fullmatch(r"\w+: \d+\.\d\npneumonia: [01]\.\d\d\n", capsys.readouterr().out)


@pytest.mark.service
def test_the_curl_examples_are_answered(tmp_path: Path) -> None:
    lines = commands("curl")
    assert len(lines) >= 3
    with serving(create_app(Settings())) as client:
        for line in lines:
            address = str(client.base_url).rstrip("/")
            line = line.replace("http://127.0.0.1:8000", address)
            for written in ("overlay.png", "pixels.bin", "film.txt"):
                line = line.replace(written, str(tmp_path / written))
            subprocess.run(f"{line} --fail --silent", shell=True, cwd=ROOT, check=True)
    assert (tmp_path / "overlay.png").read_bytes().startswith(b"\x89PNG")
    assert "x-film: {" in (tmp_path / "film.txt").read_text().lower()


@pytest.mark.parametrize("line", commands("cxr predict") + commands("cxr explain"))
def test_the_command_line_examples_run(
    line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "service").symlink_to(ROOT / "service")
    assert cxr.main(shlex.split(line)[1:]) == 0


@pytest.mark.parametrize("line", commands("cxr prepare"))
def test_the_examples_with_own_films_run(
    line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    _, _, layout, folder, *_ = words = shlex.split(line)
    if layout == "manifest":
        published.image_folder(tmp_path)
        assert cxr.main(["prepare", "image-folder", ".", "-o", folder]) == 0
    else:
        getattr(published, layout.replace("-", "_"))(tmp_path / folder)
    assert cxr.main(words[1:]) == 0


@pytest.mark.parametrize("line", [line for line in commands("cxr") if "serve" not in line])
def test_every_verb_in_readme_exists(line: str) -> None:
    assert line.split()[1] in cxr.VERBS


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_every_link_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_it_says_what_it_is_not() -> None:
    assert "Research use only. Not a medical device." in README
