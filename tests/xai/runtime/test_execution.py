"""Execution providers: what is refused everywhere, and OpenVINO where its plug-in takes the CPU."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

from service.app import create_app
from service.inference.registry import open_explainers
from service.settings import Settings
from tests.support.running_server import serving
from tests.support.tiny_model import IMAGE_SIZE, write_model
from xai import explainer as explaining
from xai.explainer import OUTPUTS, Explainer, Floats
from xai.runtime.execution import check_execution


@pytest.fixture
def openvino() -> None:
    try:
        check_execution("openvino", "bfloat16")
    except ValueError as error:
        pytest.skip(str(error))


class Deviating(onnxruntime.InferenceSession):
    """A session whose outputs are multiplied, from a size of batch on."""

    factor, batch = 1.0, 1

    def run(self, output_names, input_feed, run_options=None):
        outputs = super().run(output_names, input_feed, run_options)
        wrong = len(input_feed["pixels"]) >= self.batch
        return [np.float32(self.factor) * value for value in outputs] if wrong else outputs


@pytest.fixture
def deviate(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let every provider be there, and deviate."""

    def plant(factor: float, *, batch: int = 1) -> None:
        def deviating(model: Path, **_: object) -> Deviating:
            session = Deviating(model, providers=["CPUExecutionProvider"])
            session.factor, session.batch = factor, batch
            return session

        monkeypatch.setattr(explaining, "open_session", deviating)
        monkeypatch.setattr(explaining, "check_execution", lambda *_: None)

    return plant


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let ONNX Runtime have CUDA, and place operators as it is told to."""

    def place(**operators: list[str]) -> None:
        class Placing(onnxruntime.InferenceSession):
            def __init__(self, model, options, **_):
                super().__init__(model, options, providers=["CPUExecutionProvider"])

            def get_provider_graph_assignment_info(self):
                return [subgraph(f"{name}ExecutionProvider", of) for name, of in operators.items()]

        monkeypatch.setattr(onnxruntime, "InferenceSession", Placing)
        monkeypatch.setattr(
            onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"]
        )

    return place


def subgraph(provider: str, operators: list[str]) -> SimpleNamespace:
    nodes = [SimpleNamespace(op_type=name) for name in operators]
    return SimpleNamespace(ep_name=provider, get_nodes=lambda: nodes)


def films(count: int) -> Floats:
    return np.random.default_rng(0).random((count, 1, *IMAGE_SIZE), np.float32)


@pytest.mark.parametrize("provider", ["cpu", "openvino", "cuda"])
def test_float32_is_held_to_the_tight_tolerances_whatever_runs_it(tmp_path, deviate, provider):
    deviate(1.005)
    with pytest.raises(ValueError, match=r"tiny.onnx: golden logits not reproduced: off by"):
        Explainer(write_model(tmp_path), provider=provider)


def test_bfloat16_may_deviate_a_little_and_is_refused_beyond(tmp_path, deviate):
    deviate(1.005)
    Explainer(write_model(tmp_path), provider="openvino", precision="bfloat16")
    deviate(1.3)
    with pytest.raises(ValueError, match=r"tiny.onnx: golden logits not reproduced: off by"):
        Explainer(write_model(tmp_path), provider="openvino", precision="bfloat16")


def test_a_provider_that_errs_with_several_films_only_is_refused(tmp_path, deviate):
    deviate(1.3, batch=2)
    with pytest.raises(ValueError, match="golden logits not reproduced"):
        Explainer(write_model(tmp_path), provider="openvino")


@pytest.mark.parametrize("provider", ["cpu", "cuda"])
def test_bfloat16_is_refused_where_nothing_computes_in_it(tmp_path: Path, provider):
    with pytest.raises(ValueError, match=f"bfloat16 needs provider openvino; provider {provider}"):
        Explainer(write_model(tmp_path), provider=provider, precision="bfloat16", lazy=True)


def test_cuda_without_its_onnx_runtime_is_refused_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ValueError, match=r"uninstall onnxruntime`, then `pip install '.\[gpu\]'`"):
        Explainer(write_model(tmp_path), provider="cuda", lazy=True)


def test_cuda_may_leave_the_arithmetic_on_shapes_to_the_cpu(tmp_path: Path, cuda):
    cuda(CUDA=["Conv", "Softmax"], CPU=["Shape", "Gather"])
    assert Explainer(write_model(tmp_path), provider="cuda").provider == "cuda"


@pytest.mark.parametrize(
    ("placed", "left"),
    [
        ({"CUDA": ["Softmax"], "CPU": ["Shape", "FusedMatMul", "Conv"]}, "Conv, FusedMatMul"),
        ({"CPU": ["Softmax"]}, "the graph"),
    ],
)
def test_a_provider_that_leaves_the_work_to_the_cpu_is_refused(tmp_path, cuda, placed, left):
    cuda(**placed)
    with pytest.raises(ValueError, match=f"tiny.onnx: provider cuda leaves {left} to the CPU"):
        Explainer(write_model(tmp_path), provider="cuda")


def test_openvino_without_its_package_is_refused_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_openvino", None)
    with pytest.raises(ValueError, match=r"openvino needs `pip install '.\[openvino\]'`"):
        Explainer(write_model(tmp_path), provider="openvino", lazy=True)


def test_a_server_does_not_start_without_the_provider_it_is_told_to_use(tmp_path, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    settings = Settings(models=write_model(tmp_path), own_models=False, provider="cuda")
    with pytest.raises(ValueError, match="provider cuda needs another ONNX Runtime"):
        open_explainers(settings)


@pytest.mark.usefixtures("openvino")
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 2e-2)])
def test_openvino_answers_as_the_cpu_provider_does(tmp_path: Path, precision, tolerance: float):
    model = write_model(tmp_path)
    usual, openvino = Explainer(model), Explainer(model, provider="openvino", precision=precision)
    expected, found = usual(films(3)), openvino(films(3))
    for name in OUTPUTS:
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=tolerance, atol=tolerance
        )


@pytest.mark.usefixtures("openvino")
def test_openvino_answers_several_threads_at_once(tmp_path: Path):
    explainer = Explainer(write_model(tmp_path), threads=1, provider="openvino")
    batches = [films(count) for count in (1, 2, 3, 4)] * 4
    alone = [explainer(batch).logits for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for expected, found in zip(alone, pool.map(explainer, batches), strict=True):
            np.testing.assert_allclose(found.logits, expected, rtol=1e-6)


@pytest.mark.service
@pytest.mark.usefixtures("openvino")
def test_a_server_runs_its_models_with_openvino_and_says_so(tmp_path: Path):
    settings = Settings(
        models=write_model(tmp_path), own_models=False, provider="openvino", precision="bfloat16"
    )
    with serving(create_app(settings)) as client:
        (summary,) = client.get("/v1/models").json()["models"]
    assert (summary["provider"], summary["is_loaded"]) == ("openvino", True)
