"""Models that come, go, and are exchanged while the server runs."""

import gc
import os
import signal
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import anyio
import httpx
import numpy as np
import pytest

from service.app import create_app
from service.inference.engine import Engine
from service.inference.registry import Registry
from service.observability.metrics import Metrics
from service.problems import ReloadRefused, UnsoundModel
from service.settings import Settings
from tests.support.running_server import serving, started
from tests.support.tiny_model import FILM, golden, write_model
from tests.support.waiting import wait_until
from xai import explainer as explainer_module

PIXELS = np.zeros((1, 1, 32, 48), np.float32)
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


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """The names of the model files whose graphs are loaded from now on."""
    names: list[str] = []
    open_session = explainer_module.open_session

    def counted(file: Path, **options: Any):
        names.append(file.stem)
        return open_session(file, **options)

    monkeypatch.setattr(explainer_module, "open_session", counted)
    return names


def test_reloads_at_once_load_each_file_that_changed_once(folder: Path, opened: list[str]):
    registry = registry_of(folder, preload=("all",))
    opened.clear()
    for name in ("a", "b"):
        write_model(folder, name=name, version="2.0.0")
    with ThreadPoolExecutor(6) as pool:
        new = list(pool.map(registry.reload, ["a", "b", "c"] * 2))
    assert sorted(opened) == ["a", "b"]
    assert [one.card.version for one in new] == ["2.0.0", "2.0.0", "1.2.3"] * 2


def test_models_are_loaded_one_at_a_time(folder: Path, monkeypatch):
    registry, running, was_alone = registry_of(folder), Lock(), []
    open_session = explainer_module.open_session

    def alone(file: Path, **options: Any):
        was_alone.append(running.acquire(blocking=False))
        time.sleep(0.1)
        running.release()
        return open_session(file, **options)

    monkeypatch.setattr(explainer_module, "open_session", alone)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(registry.load, map(registry.explainer, ("b", "c"))))
    assert was_alone == [True, True]


def test_the_largest_of_the_models_that_must_be_ready_is_loaded_first(
    folder: Path, opened: list[str]
):
    write_model(folder, name="b", intended_use="so many words " * 100)
    registry_of(folder, preload=("all",))
    assert opened[0] == "b"


def test_a_model_that_was_replaced_leaves_memory(folder: Path):
    app = create_app(Settings(models=folder, own_models=False))
    with serving(app) as client:
        client.post("/v1/predict", content=FILM)
        old = weakref.ref(app.state.engine.registry.explainer("a"))
        write_model(folder, name="a", version="2.0.0")
        client.post("/v1/models/a/reload").raise_for_status()
        gc.collect()
        assert old() is None


def test_so_does_one_that_was_replaced_after_a_signal(folder: Path):
    settings = Settings(models=folder, own_models=False)
    engine = Engine(Registry(settings), settings, Metrics())

    async def replaced() -> bool:
        await engine.infer(engine.registry.explainer("a"), PIXELS)
        old = weakref.ref(engine.registry.explainer("a"))
        write_model(folder, name="a", version="2.0.0")
        await engine.refresh()
        gc.collect()
        return old() is None

    assert anyio.run(replaced)
    engine.close()


def test_a_request_that_began_with_a_replaced_model_ends_with_it(folder: Path):
    settings = Settings(models=folder, own_models=False)
    engine = Engine(Registry(settings), settings, Metrics())

    async def answered() -> bool:
        old = engine.registry.explainer("a")
        write_model(folder, name="a", version="2.0.0")
        await engine.reload("a")
        await engine.infer(old, PIXELS)
        found = weakref.ref(old)
        del old
        gc.collect()
        return found() is None

    assert anyio.run(answered)
    engine.close()


@pytest.mark.parametrize("loads", ["a request", "a run"])
def test_a_model_that_made_room_is_loaded_when_others_have_made_room_again(
    folder: Path, monkeypatch, loads: str
):
    registry = registry_of(folder, model_memory_bytes=1)
    for name in ("b", "c"):
        registry.load(registry.explainer(name))
    found: list[set[str]] = []
    open_session = explainer_module.open_session

    def looking(file: Path, **options: Any):
        found.append(loaded(registry))
        return open_session(file, **options)

    monkeypatch.setattr(explainer_module, "open_session", looking)
    evicted = registry.explainer("b")
    if loads == "a request":
        registry.load(evicted)
    else:
        evicted(PIXELS)
    assert found == [{"a"}]
    assert loaded(registry) == {"a", "b"}


def unsound_b(folder: Path) -> Path:
    write_model(folder, name="b", golden=OFF)
    return folder


def test_a_model_that_failed_its_checks_is_not_tried_at_every_request(
    folder: Path, opened: list[str], caplog
):
    registry = registry_of(unsound_b(folder))
    for _ in range(3):
        with pytest.raises(UnsoundModel, match="b fails its checks"):
            registry.load(registry.explainer("b"))
    assert opened == ["a", "b"]
    assert caplog.text.count("not reproduced") == 1


@pytest.mark.parametrize("again", ["reload", "refresh"])
def test_it_is_tried_again_when_its_file_is_reloaded(folder: Path, again: str):
    registry = registry_of(unsound_b(folder))
    with pytest.raises(UnsoundModel):
        registry.load(registry.explainer("b"))
    with pytest.raises(ReloadRefused, match=r"log says how\.$"):
        registry.reload("b")
    write_model(folder, name="b")
    registry.reload("b") if again == "reload" else registry.refresh()
    assert registry.explainer("b").is_loaded


def test_a_file_that_cannot_be_read_for_a_moment_is_tried_again(folder: Path):
    registry, file = registry_of(folder), folder / "b.onnx"
    file.rename(folder / "aside")
    with pytest.raises(UnsoundModel):
        registry.load(registry.explainer("b"))
    (folder / "aside").rename(file)
    registry.load(registry.explainer("b"))


def test_an_unsound_model_is_left_out_of_all_with_its_reason(folder: Path):
    app = create_app(Settings(models=unsound_b(folder), own_models=False))
    with serving(app) as client:
        assert client.get("/v2/models/b/ready").status_code == 200
        for path in ("predict", "explain", "predict"):
            answer = client.post(f"/v1/{path}?model=all", content=FILM).json()
            assert [one["model"]["name"] for one in answer["models"]] == ["a", "c"]
            [left_out] = answer["left_out"]
            assert left_out["name"] == "b"
            assert "fails its checks" in left_out["reason"]
        listed = client.get("/v1/models").json()["models"]
        assert [one["is_sound"] for one in listed] == [True, False, True]
        assert client.get("/v2/models/b/ready").status_code == 400
        assert client.get("/v2/models/a/ready").json() == {"name": "a", "ready": True}
        [line] = client.post("/v1/batch?model=all", files={"file": FILM}).text.splitlines()
        assert '"left_out":[{"name":"b"' in line


def test_the_only_sound_model_is_answered_as_all_of_them(folder: Path):
    (folder / "c.onnx").unlink()
    with serving(create_app(Settings(models=unsound_b(folder), own_models=False))) as client:
        answer = client.post("/v1/explain?model=all", content=FILM).json()
        assert [one["model"]["name"] for one in answer["models"]] == ["a"]
        assert [one["name"] for one in answer["left_out"]] == ["b"]


@pytest.mark.parametrize("preload", [(), ("b",), ("all",)])
def test_a_server_starts_with_an_unsound_model_unless_it_must_be_ready(folder: Path, preload):
    unsound_b(folder)
    if not preload:
        assert loaded(registry_of(folder)) == {"a"}
        return
    with pytest.raises(ValueError, match=r"b.onnx: golden logits not reproduced"):
        registry_of(folder, preload=preload)
