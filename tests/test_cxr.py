import json
import subprocess
import sys
from argparse import Action, ArgumentParser, _HelpAction, _SubParsersAction
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cxr
from tests.support.tiny_model import FILM, REFUSED_FILM, write_model

ARGUMENTS = json.loads(Path(__file__).with_name("cli_arguments.json").read_text())
"""What scripts rely on: of each verb its arguments, and of each argument all but its help."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"--model={write_model(tmp_path_factory.mktemp('model'))}"


@pytest.fixture
def film(tmp_path: Path) -> str:
    path = tmp_path / "film.png"
    path.write_bytes(FILM)
    return str(path)


def test_help_names_every_verb_and_loads_none(capsys):
    with pytest.raises(SystemExit, match="0"):
        cxr.main(["--help"])
    text = capsys.readouterr().out
    assert set(cxr.VERBS) <= set(text.split())


def arguments(verb: str, parser: ArgumentParser) -> dict[str, dict[str, object]]:
    """Return the arguments of a verb and, under `verb choice`, of each of its subcommands."""
    actions = [action for action in parser._actions if not isinstance(action, _HelpAction)]
    found = {verb: {", ".join(one.option_strings) or one.dest: facts(one) for one in actions}}
    for action in actions:
        if isinstance(action, _SubParsersAction):
            for choice, subparser in action.choices.items():
                found |= arguments(f"{verb} {choice}", subparser)
    return found


def facts(action: Action) -> dict[str, object]:
    """Return what is set of an argument, without its help."""
    named = {name: getattr(action, name) for name in ("nargs", "const", "default")}
    named["choices"] = None if action.choices is None else list(action.choices)
    named["required"] = action.required or None
    return {name: value for name, value in named.items() if value is not None}


def test_every_verb_has_the_arguments_that_scripts_rely_on() -> None:
    found: dict[str, dict[str, object]] = {}
    for verb in cxr.VERBS:
        parser = ArgumentParser()
        import_module(cxr.module_of(verb)).add_arguments(parser)
        found |= arguments(verb, parser)
    assert json.loads(json.dumps(found, default=str)) == ARGUMENTS
    assert len(cxr.VERBS) == 22


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "argument"), [("service", "--port PORT"), ("training", "--manifest MANIFEST")]
)
def test_a_package_runs_as_a_program(package: str, argument: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", package, "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"usage: python -m {package} ")
    assert argument in done.stdout


def test_a_command_without_verb_is_wrongly_called(capsys):
    with pytest.raises(SystemExit, match="2"):
        cxr.main([])
    assert "VERB" in capsys.readouterr().err


def test_predict_prints_a_line_per_film(film: str, model: str, capsys):
    assert cxr.main(["predict", film, film, model]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == second
    assert first["file"] == film
    assert first["predicted_class"] == "normal"


def test_a_model_of_the_servers_can_be_asked_by_name(film: str, tmp_path, monkeypatch, capsys):
    write_model(tmp_path, name="first")
    write_model(tmp_path, name="second")
    monkeypatch.setenv("CXR_MODELS", str(tmp_path))
    assert cxr.main(["predict", film, "--model", "second"]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["name"] == "second"
    assert cxr.main(["predict", film, "--model", "third"]) == 1
    assert "--model must be a file or one of first, second, chest_cnn" in capsys.readouterr().err


def test_predict_goes_on_after_a_file_that_cannot_be_used(film: str, model: str, tmp_path, capsys):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no film")
    assert cxr.main(["predict", str(broken), str(tmp_path / "missing"), film, model]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["error"]["status"] == 415
    assert lines[1]["error"]["detail"] == "No such file or directory"
    assert "findings" in lines[2]


def test_explain_writes_an_overlay(film: str, model: str, tmp_path: Path, capsys):
    overlay = tmp_path / "overlay.png"
    arguments = ["explain", film, "-o", str(overlay), "--class", "pneumonia", "--json", model]
    assert cxr.main(arguments) == 0
    with Image.open(overlay) as picture:
        assert picture.size == (48, 32)
    printed = capsys.readouterr()
    assert printed.err == "pneumonia: ok\n"
    assert json.loads(printed.out)["findings"][1]["explanation"]["status"] == "ok"


def test_explain_refuses_a_film_unless_forced(model: str, tmp_path: Path, capsys):
    film, overlay = tmp_path / "film.png", tmp_path / "overlay.png"
    film.write_bytes(REFUSED_FILM)
    arguments = ["explain", str(film), "-o", str(overlay), model]
    assert cxr.main(arguments) == 1
    assert "distance" in capsys.readouterr().err
    assert not overlay.exists()
    assert cxr.main([*arguments, "--force"]) == 0


def test_explain_names_the_classes_there_are(film: str, model: str, tmp_path: Path, capsys):
    arguments = ["explain", film, "-o", str(tmp_path / "o.png"), "--class", "flu", model]
    assert cxr.main(arguments) == 1
    assert "normal, pneumonia, effusion" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [["predict"], ["explain", "-o", "overlay.png"]])
def test_a_model_that_is_none_is_named(verb: list[str], film: str, tmp_path: Path, capsys):
    assert cxr.main([*verb, film, "--model", film]) == 1
    assert "film.png: ONNX Runtime can't load it" in capsys.readouterr().err


def test_explain_says_which_film_is_missing(model: str, tmp_path: Path, capsys):
    film = str(tmp_path / "missing.png")
    assert cxr.main(["explain", film, "-o", str(tmp_path / "o.png"), model]) == 1
    assert film in capsys.readouterr().err


def test_a_verb_is_handed_to_its_module(monkeypatch, tmp_path: Path):
    (tmp_path / "somebody" / "commands").mkdir(parents=True)
    (tmp_path / "somebody" / "commands" / "some_job.py").write_text(
        "def add_arguments(parser): parser.add_argument('x', type=int)\n"
        "def run(arguments): return arguments.x\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(cxr.VERBS, "some-job", cxr.Verb("somebody", "some job"))
    assert cxr.main(["some-job", "7"]) == 7


def test_explain_paints_another_methods_map(film: str, model: str, tmp_path, monkeypatch, capsys):
    asked = []

    def map_by(name, file, pixels, number):
        asked.append((name, pixels.shape, number))
        return np.array([[0, 2], [-3, 0]], np.float32)

    monkeypatch.setattr("training.maps.methods.map_by", map_by)
    overlay = tmp_path / "overlay.png"
    options = ["--class", "pneumonia", "--method", "layer_cam", model]
    assert cxr.main(["explain", film, "-o", str(overlay), *options]) == 0
    assert asked == [("layer_cam", (32, 48), 1)]
    coloured = np.ptp(np.asarray(Image.open(overlay)).astype(int), axis=2)
    assert (coloured[4, 44] > 30, coloured[28, 4]) == (True, 0)
    assert "full colour is its maximum" in capsys.readouterr().err


def test_a_method_that_nobody_knows_is_named(film: str, model: str, tmp_path: Path, capsys):
    options = ["--class", "pneumonia", "--method", "tea_leaves", model]
    assert cxr.main(["explain", film, "-o", str(tmp_path / "o.png"), *options]) == 1
    assert "--method must be one of grad_cam, hirescam" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--method", "--me"])  # argparse takes what is unambiguous
def test_a_method_without_its_packages_says_what_to_install(option: str):
    script = (
        "import sys; sys.modules['captum'] = None; import cxr; "
        f"sys.exit(cxr.main(['explain', 'x', '-o', 'y', '{option}', 'hirescam']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 2
    assert "the package captum is missing" in done.stderr


@pytest.mark.slow
def test_export_loads_no_other_methods_packages(tmp_path: Path):
    script = (
        "import sys, cxr; status = cxr.main(sys.argv[1:]); "
        "print(status, *({'captum', 'pytorch_grad_cam'} & set(sys.modules)))"
    )
    arguments = ["export", str(tmp_path / "no_run"), "-o", str(tmp_path / "model.onnx")]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True
    )
    assert done.stdout == "1\n"
    assert "no_run" in done.stderr


def test_training_without_its_packages_says_what_to_install():
    script = (
        "import sys; sys.modules['torch'] = None; import cxr; sys.exit(cxr.main(['train', 'x']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 2
    assert "the package torch is missing" in done.stderr
    assert "pip install 'chest-xray-explainer[train]'" in done.stderr
