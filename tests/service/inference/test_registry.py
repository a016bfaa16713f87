"""Models that come, go, and are exchanged while the server runs."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import httpx
import pytest

from service.app import create_app
from service.inference.registry import Registry
from service.problems import ReloadRefused, UnsoundModel
from service.settings import Settings
from tests.support.running_server import serving, started
from tests.support.tiny_model import FILM, golden, write_model
from tests.support.waiting import wait_until

OFF = golden().model_copy(update={"logits": (9.0, 9.0, 9.0)})


def registry_of(folder: Path, **settings: object) -> Registry:
    return Registry(Settings(**{"models": folder, "own_models": False} | settings))


def loaded(registry: Registry) -> set[str]:
    return {name for name, one in registry.explainers.items() if one.is_loaded}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three models, `a` the default."""
    for name in ("a", "b", "c"):
        write_model(tmp_path, name=name)
    return tmp_path


def test_models_stand_beside_our_own_and_the_first_of_them_is_the_default(folder: Path):
    registry = Registry(Settings(models=folder))
    assert list(registry.explainers) == ["a", "b", "c", "chest_cnn", "vgg16", "vit_b16"]
    assert registry.default_model == "a"


def test_a_model_with_the_name_of_ours_takes_its_place(tmp_path: Path):
    file = write_model(tmp_path, name="vgg16")
    assert Registry(Settings(models=file)).explainers["vgg16"].file == file


@pytest.mark.parametrize(
    ("preload", "ready"), [("", {"a"}), ("c", {"a", "c"}), ("all", {"a", "b", "c"})]
)
def test_what_is_preloaded_is_ready_at_once(folder: Path, monkeypatch, preload, ready):
    monkeypatch.setenv("CXR_PRELOAD", preload)
    assert loaded(registry_of(folder)) == ready


@pytest.mark.parametrize("setting", [{"preload": ("d",)}, {"default_model": "d"}])
def test_a_name_that_is_no_models_is_refused(folder: Path, setting):
    with pytest.raises(ValueError, match=f"{next(iter(setting))} must be one of .* not 'd'"):
        registry_of(folder, **setting)


def test_no_model_may_be_called_all(tmp_path: Path):
    write_model(tmp_path, name="all")
    with pytest.raises(ValueError, match="no model may be called 'all'"):
        registry_of(tmp_path)


def test_the_model_asked_longest_ago_makes_room(folder: Path):
    registry = registry_of(folder, model_memory_bytes=1)
    registry.load(registry.explainer("b"))
    assert loaded(registry) == {"a", "b"}  # the default stays
    registry.load(registry.explainer("c"))
    assert loaded(registry) == {"a", "c"}


def test_within_the_memory_allowed_all_stay(folder: Path):
    registry = registry_of(folder, model_memory_bytes=2**40)
    for name in ("b", "c"):
        registry.load(registry.explainer(name))
    assert loaded(registry) == {"a", "b", "c"}
    assert all(one.memory_bytes > 0 for one in registry.explainers.values())


def test_a_model_that_made_room_answers_again(folder: Path):
    settings = Settings(models=folder, own_models=False, model_memory_bytes=1)
    with serving(create_app(settings)) as client:
        for name in ("b", "c", "b"):
            answer = client.post(f"/v1/predict?model={name}", content=FILM)
            assert answer.json()["model"]["name"] == name


def test_a_reloaded_model_is_the_one_now_in_the_file(folder: Path):
    registry = registry_of(folder)
    write_model(folder, name="a", version="2.0.0")
    assert registry.reload("a").card.version == "2.0.0"
    assert registry.explainer("a").is_loaded


@pytest.mark.parametrize("fault", ["cut short", "missing", "not reproduced", "another name"])
def test_a_file_that_is_no_sound_model_leaves_the_old_one_answering(folder, fault, caplog):
    registry, file = registry_of(folder), folder / "a.onnx"
    old = registry.explainer("a")
    if fault == "cut short":
        file.write_bytes(file.read_bytes()[:-100])
    elif fault == "missing":
        file.unlink()
    elif fault == "not reproduced":
        write_model(folder, name="a", golden=OFF)
    else:
        write_model(folder, name="z").rename(file)
    with pytest.raises(ReloadRefused, match="goes on answering"):
        registry.reload("a")
    assert registry.explainer("a") is old
    assert "a not reloaded" in caplog.text


def test_a_lazy_model_whose_file_was_swapped_says_so_until_it_is_reloaded(folder: Path, caplog):
    registry = registry_of(folder)
    write_model(folder, name="b", version="2.0.0")
    with pytest.raises(UnsoundModel):
        registry.load(registry.explainer("b"))
    assert "reload it" in caplog.text
    registry.load(registry.reload("b"))
    assert registry.explainer("b").card.version == "2.0.0"


def test_refreshing_takes_up_changed_and_new_files_and_lets_go_of_others(folder: Path):
    registry = registry_of(folder)
    same = registry.explainer("c")
    write_model(folder, name="a", version="2.0.0")
    (folder / "b.onnx").unlink()
    write_model(folder, name="d")
    registry.refresh()
    assert list(registry.explainers) == ["a", "c", "d"]
    assert registry.explainer("a").card.version == "2.0.0"
    assert registry.explainer("c") is same


def test_refreshing_never_takes_away_what_must_be_ready(folder: Path, caplog):
    registry = registry_of(folder)
    (folder / "a.onnx").unlink()
    registry.refresh()
    assert registry.explainer().is_loaded
    assert "its file is gone" in caplog.text


def test_refreshing_keeps_everything_when_a_file_has_no_card(folder: Path, caplog):
    registry = registry_of(folder)
    (folder / "broken.onnx").write_bytes(b"half a copy")
    registry.refresh()
    assert list(registry.explainers) == ["a", "b", "c"]
    assert "no model reloaded" in caplog.text


def test_refreshing_takes_up_no_model_called_all(folder: Path, caplog):
    registry = registry_of(folder)
    write_model(folder, name="all")
    registry.refresh()
    assert list(registry.explainers) == ["a", "b", "c"]
    assert "no model may be called 'all'" in caplog.text


def test_reloading_over_http_drops_no_request(folder: Path):
    writing = Lock()  # a file that is written anew while it is loaded is rightly refused
    with serving(create_app(Settings(models=folder, own_models=False))) as client:

        def answer(number: int) -> int:
            if number % 10 == 5:
                with writing:
                    write_model(folder, name="a", version=str(number))
                    return client.post("/v1/models/a/reload").status_code
            return client.post("/v1/predict", content=FILM).status_code

        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(answer, range(60))) == {200}
        assert client.post("/v1/predict", content=FILM).json()["model"]["version"].endswith("5")


def test_a_hangup_signal_reloads(folder: Path):
    with started("--models", str(folder)) as (process, address):
        before = httpx.get(f"{address}/v1/models/a").json()["sha256"]
        write_model(folder, name="a", version="2.0.0")
        os.kill(process.pid, signal.SIGHUP)
        wait_until(lambda: httpx.get(f"{address}/v1/models/a").json()["sha256"] != before)
