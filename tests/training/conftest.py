"""A network that has learnt to see a bright spot, trained once for all tests."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.bright_spot import config, write_set
from training.export.export import export
from training.fitting.run_folder import RunFolder
from training.fitting.train import train


@pytest.fixture(scope="session", autouse=True)
def _operators_are_read_once() -> Iterator[None]:
    """Keep the table of operators that `torch.onnx.export` makes anew for each of many exports.

    That takes two seconds each time. Should PyTorch move it, exports work as before, but slower.
    """
    try:
        from torch.onnx._internal.exporter._registration import ONNXRegistry
    except ImportError:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        kept = staticmethod(cache(ONNXRegistry.from_torchlib))
        patch.setattr(ONNXRegistry, "from_torchlib", kept)
        yield


@pytest.fixture(scope="session")
def spot_manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("spots"))


@pytest.fixture(scope="session")
def spot_run(spot_manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    train(config(spot_manifest), folder)
    return folder


@pytest.fixture(scope="session")
def spot_model(spot_run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = tmp_path_factory.mktemp("model") / "spot_cnn.onnx"
    export(spot_run, model, with_test=True)
    return model
