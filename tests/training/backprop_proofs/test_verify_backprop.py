"""`cxr verify-backprop` reports its checks, and exits with 1 if any fails."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import torch

import cxr
from models.card import ReadOut
from models.network import LayeredNetwork
from tests.models.tape.test_network import one_per_cent_too_large, plant
from tests.support import lung_networks
from tests.support.lung_networks import FILM, lung_vit
from tests.support.small_lung_field import small_lung_field
from tests.support.small_networks import SMALL, small_network
from training.backprop_proofs import report as proofs_report
from training.backprop_proofs.networks import NETWORKS
from training.backprop_proofs.proofs import is_zero_by_mathematics, relative_errors, with_qkv_apart
from training.backprop_proofs.report import BackpropReport, NetworkReport, verified
from training.commands import verify_backprop
from training.step.gradients import by_autograd, by_hand

SIZE = (32, 48)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put small networks in the place of the real ones."""

    def built(name: str) -> Callable[[int], LayeredNetwork]:
        return lambda classes: small_network(name, size=SIZE).float()

    small = {name: built(label) for name, label in zip(NETWORKS, SMALL, strict=True)}
    small["lung_field"] = lambda classes: small_lung_field().float()
    monkeypatch.setattr(verify_backprop, "PROVEN", small)
    monkeypatch.setattr(verify_backprop, "IMAGE_SIZE", SIZE)
    # Of few blocks, one alone is the peak; at full size the ratio is a figure of the report.
    monkeypatch.setattr(proofs_report, "MEMORY_LIMIT", 2.0)


def report_on(name: str, **settings: int) -> NetworkReport:
    return verified(name, small_network(name).float(), image_size=SIZE, rounds=1, **settings)


@pytest.mark.parametrize("name", SMALL)
def test_all_is_well_with_every_network(name: str) -> None:
    report = report_on(name)
    assert report.faults == ()
    assert report.largest_error < 1e-9
    assert report.loss_difference < 1e-9
    assert len(report.losses_by_hand) == len(report.losses_by_autograd) == 10


def test_all_is_well_with_the_loss_of_findings() -> None:
    network = small_network("chest_cnn").float()
    report = verified("findings", network, image_size=SIZE, task="multilabel", rounds=1)
    assert report.faults == ()
    assert report.losses_by_hand != report_on("chest_cnn").losses_by_hand


def test_all_is_well_with_the_lung_field_and_its_loss() -> None:
    network = small_lung_field().float()
    report = verified("lung_field", network, image_size=SIZE, task="segmentation", rounds=1)
    assert report.faults == ()
    assert report.largest_error < 1e-9
    assert report.control.layer == "levels"


@pytest.mark.parametrize("name", ["chest_cnn local", "vgg16 conv4_3"])
def test_all_is_well_with_networks_that_look_inside_the_lungs(name: str) -> None:
    network = lung_networks.NETWORKS[name]().float()
    report = verified(name, network, image_size=lung_networks.FILM, rounds=1)
    assert report.faults == ()
    assert report.largest_error < 1e-9
    assert not any(layer.layer.startswith("normalise") for layer in report.layers)


@pytest.mark.parametrize("read_out", get_args(ReadOut))
def test_all_is_well_with_a_vit_that_looks_only_inside_the_lungs(read_out: ReadOut) -> None:
    report = verified("lungs", lung_vit(read_out).float(), image_size=FILM, rounds=1)
    assert report.faults == ()
    assert report.largest_error < 1e-9


def test_every_parameter_is_counted_and_every_layer_named() -> None:
    network = small_network("vit_b16 token")
    report = report_on("vit_b16 token")
    assert report.parameters == sum(p.numel() for p in network.parameters())
    layers = {name.rpartition(".")[0] for name, _ in network.named_parameters()}
    assert {layer.layer for layer in report.layers} == layers


def test_the_network_is_left_as_it_was() -> None:
    network = small_network("chest_cnn").float()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    verified("chest_cnn", network, image_size=SIZE, rounds=1, steps=1)
    assert not network.training
    torch.testing.assert_close(dict(network.state_dict()), before, rtol=0, atol=0)


def test_query_key_and_value_are_compared_apart() -> None:
    cut = with_qkv_apart(
        {"attn.qkv.weight": torch.arange(6.0)[:, None], "attn.proj.bias": torch.ones(2)}
    )
    assert cut["attn.qkv.weight[key]"].flatten().tolist() == [2, 3]
    assert len(cut) == 4


def test_key_biases_are_listed_as_zero_by_mathematics() -> None:
    report = report_on("vit_b16 average", steps=1)
    assert len(report.zero_by_mathematics) == 3
    assert all(is_zero_by_mathematics(name) for name in report.zero_by_mathematics)
    assert max(report.zero_by_mathematics.values()) < 1e-12


def test_a_gradient_that_is_missing_is_an_error_of_its_own() -> None:
    with pytest.raises(ValueError, match="by name and shape"):
        relative_errors({}, {"weight": torch.ones(2)})


def test_where_all_is_zero_there_is_no_error() -> None:
    assert relative_errors({"w": torch.zeros(2)}, {"w": torch.zeros(2)}) == {"w": 0}


def test_the_command_prints_a_table_and_writes_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.json"
    assert cxr.main(["verify-backprop", "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    for name in verify_backprop.DEFAULT:
        assert f"{name}: " in printed
    assert printed.count("all is well") == 4
    report = BackpropReport.model_validate_json(file.read_text())
    assert [network.network for network in report.networks] == list(verify_backprop.DEFAULT)


def test_one_network_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert cxr.main(["verify-backprop", "--network", "vit_b16-average"]) == 0
    assert "vgg16" not in capsys.readouterr().out


def test_float32_is_judged_by_its_own_measure(capsys: pytest.CaptureFixture[str]) -> None:
    assert cxr.main(["verify-backprop", "--network", "vgg16", "--dtype", "float32"]) == 0
    assert "float32" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("module", "function"),
    [("fixed_layers", "gelu_backward"), ("trained_layers", "layer_norm_weight_gradient")],
)
def test_the_command_fails_when_a_gradient_is_off(
    module: str,
    function: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plant(monkeypatch, module, function, one_per_cent_too_large)
    assert cxr.main(["verify-backprop", "--network", "vit_b16"]) == 1
    printed = capsys.readouterr().out
    assert "OFF: a gradient differs from autograd's by" in printed
    assert "OFF: the losses of 10 steps differ by" in printed
    assert "all is well" not in printed


def test_a_gradient_that_is_not_a_number_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "fixed_layers", "gelu_backward", lambda gradient: gradient * float("nan"))
    assert any("gradient differs" in fault for fault in report_on("vit_b16 token", steps=1).faults)


def test_a_control_that_sees_nothing_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.backprop_proofs.proofs.PLANTED_FACTOR", 1.0)
    faults = report_on("vgg16", steps=1).faults
    assert sum("the planted error was not seen" in fault for fault in faults) == 3


def test_a_step_that_hoards_memory_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs_report, "MEMORY_LIMIT", 0.5)
    assert any("times autograd's memory" in fault for fault in report_on("vgg16", steps=1).excesses)


def test_the_report_is_plain_json(tmp_path: Path) -> None:
    report = proofs_report.backprop_report(report_on("vgg16", steps=2))
    network = json.loads(report.model_dump_json())["networks"][0]
    assert network["control"]["against_autograd"] == pytest.approx(0.01, rel=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg16", "vit_b16"])
def test_every_gradient_at_full_size_equals_autograd(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cxr verify-backprop` does it for all three, and more; that takes minutes."""
    monkeypatch.undo()
    torch.manual_seed(7)
    network = verify_backprop.drawn_at_random(NETWORKS[name](5)).double()
    film = torch.rand(1, 1, 224, 224, dtype=torch.float64)
    seen, expected = (
        with_qkv_apart(gradients_of(network, film, torch.tensor([3])).gradients)
        for gradients_of in (by_hand, by_autograd)
    )
    assert max(relative_errors(seen, expected).values()) < 1e-9
