"""Prove that hand-written gradients equal autograd's: `cxr verify-backprop`."""

import argparse
import sys
from pathlib import Path
from typing import get_args

import torch

from models.lung_field import LungField
from training.backprop_proofs.networks import CLASSES, IMAGE_SIZE, PROVEN, drawn_at_random
from training.backprop_proofs.proofs import ProvenTask
from training.backprop_proofs.report import Dtype, NetworkReport, backprop_report, verified

DEFAULT = ("chest_cnn", "vgg16", "vit_b16", "lung_field")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cxr verify-backprop`."""
    parser.add_argument(
        "--network",
        action="append",
        choices=PROVEN,
        help=f"which one; may be given several times; default {', '.join(DEFAULT)}",
    )
    parser.add_argument(
        "--dtype", choices=get_args(Dtype), default="float64", help="of the comparisons"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the whole report here")


def run(arguments: argparse.Namespace) -> int:
    """Print a table per network; exit code 1 if any check fails."""
    reports = []
    for name in arguments.network or DEFAULT:
        torch.manual_seed(7)
        network = drawn_at_random(PROVEN[name](CLASSES))
        task: ProvenTask = "segmentation" if isinstance(network, LungField) else "multiclass"
        reports.append(
            verified(name, network, image_size=IMAGE_SIZE, task=task, dtype=arguments.dtype)
        )
        sys.stdout.write(table(reports[-1]) + "\n")
        sys.stdout.flush()
    if arguments.json:
        arguments.json.write_text(backprop_report(*reports).model_dump_json(indent=2))
    return int(any(report.faults + report.excesses for report in reports))


def table(report: NetworkReport) -> str:
    """Return the report as text: a summary, errors by layer, losses, and failed checks."""
    seconds, memory = report.seconds, report.bytes
    lines = [
        f"{report.network}: {report.parameters:,} parameters, "
        f"{report.image_size[0]}x{report.image_size[1]}, batch {report.batch}, {report.dtype}",
        "",
        *_layers(report),
        "",
        f"  largest relative error against autograd    {report.largest_error:.1e}",
        f"  largest difference from a finite difference {max(report.slopes.values()):.1e}"
        f" ({len(report.slopes)} parameters)",
        f"  zero by mathematics                        {_zero(report)}",
        "",
        *_losses(report),
        "",
        f"  planted at {report.control.layer}, a gradient 1 % too large is seen: "
        f"{report.control.against_autograd:.1e} against autograd, "
        f"{report.control.against_slopes:.1e} against finite differences, "
        f"{report.control.over_steps:.1e} over training steps",
        f"  a step by hand / autograd, float32: time {report.time_ratio:.2f} "
        f"({seconds[0]:.2f} s / {seconds[1]:.2f} s), memory {report.memory_ratio:.2f} "
        f"({memory[0] / 1e6:.0f} MB / {memory[1] / 1e6:.0f} MB)",
        "",
        *(f"  OFF: {what}" for what in report.faults + report.excesses),
    ]
    if not report.faults + report.excesses:
        lines.append("  all is well")
    return "\n".join(lines) + "\n"


def _layers(report: NetworkReport) -> list[str]:
    width = max(len(layer.layer) for layer in report.layers)
    return [f"  {'layer':<{width}}  relative error"] + [
        f"  {layer.layer:<{width}}  {layer.error:.1e}" for layer in report.layers
    ]


def _zero(report: NetworkReport) -> str:
    if not report.zero_by_mathematics:
        return "none"
    worst = max(report.zero_by_mathematics.values())
    return f"{len(report.zero_by_mathematics)} key biases, at most {worst:.1e} of the largest"


def _losses(report: NetworkReport) -> list[str]:
    pairs = zip(report.losses_by_hand, report.losses_by_autograd, strict=True)
    return ["  step  loss by hand        loss by autograd    difference"] + [
        f"  {step:>4}  {hand:<18.12f}  {autograd:<18.12f}  {abs(hand - autograd):.1e}"
        for step, (hand, autograd) in enumerate(pairs, start=1)
    ]
