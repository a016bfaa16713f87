"""A network that has learnt to see a bright spot, trained once for all tests."""

from pathlib import Path

import pytest

from tests.support.bright_spot import config, write_set
from training.export.export import export
from training.fitting.run_folder import RunFolder
from training.fitting.train import train


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
