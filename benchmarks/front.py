"""Measure what the lung front costs on one film, without its lung field: in all, and by step.

    python benchmarks/front.py [--rounds 200] [--threads 2]

Input of 320x320, a soft mask of 64x64 or 128x128, a crop of 224x224, CPU. Mask and film are the
graph's inputs. Each graph holds the steps of the one above it and one more; all take turns in one
process, and the figures are medians.
"""

import argparse
from functools import partial

import numpy as np
import torch
from explanation import median_milliseconds, session
from torch import Tensor, nn

from models.card import Standardisation
from models.lungs.front import LungFront
from models.lungs.pieces import certainty
from models.lungs.region import cropped, lung_region
from training.data.lung_regions import lung_ellipses
from training.onnx_files.writing import onnx_model

FILM, CROP = (320, 320), (224, 224)
STEPS: dict[str, Standardisation] = {
    "two lungs": "ranks",
    "and region": "ranks",
    "and crops": "ranks",
    "the whole front, mean_std": "mean_std",
    "the whole front, ranks": "ranks",
}


class UpTo(nn.Module):
    """The front up to one of its steps; film and mask come in side by side, as one input."""

    def __init__(self, step: str, side: int) -> None:
        super().__init__()
        self.step = step
        self.side = side
        self.front = LungFront(mask_size=(side, side), crop_size=CROP, standardisation=STEPS[step])

    def forward(self, pixels: Tensor) -> tuple[Tensor]:
        """Return the output of the last step."""
        film, mask = pixels[:, :, :, : FILM[1]], pixels[:, :, : self.side, FILM[1] :]
        if self.step.startswith("the whole front"):
            return (self.front(film, mask).pixels,)
        lungs = self.front.two_lungs(certainty(mask))
        if self.step == "two lungs":
            return (lungs,)
        region = lung_region(lungs)
        if self.step == "and region":
            return (region,)
        return (cropped(film, region, CROP) + cropped(lungs, region, CROP),)


def example(side: int, batch: int) -> Tensor:
    """Return films of noise, with a mask of two ellipses beside each."""
    pixels = torch.rand(batch, 1, FILM[0], FILM[1] + side)
    pixels[:, :, :side, FILM[1] :] = torch.from_numpy(lung_ellipses((side, side))).float()
    return pixels


def medians(side: int, *, rounds: int, threads: int) -> list[float]:
    """Return milliseconds a film up to each step."""
    sessions = [
        session(
            onnx_model(UpTo(step, side), example(side, 2), ("out",)).SerializeToString(), threads
        )
        for step in STEPS
    ]
    film: dict[str, np.ndarray] = {"pixels": example(side, 1).numpy()}
    return median_milliseconds([partial(s.run, None, film) for s in sessions], rounds)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    columns = [
        medians(side, rounds=arguments.rounds, threads=arguments.threads) for side in (64, 128)
    ]
    print("| up to | mask 64x64, ms | mask 128x128, ms |")
    print("| --- | --- | --- |")
    for step, small, large in zip(STEPS, *columns, strict=True):
        print(f"| {step} | {small:.2f} | {large:.2f} |")


if __name__ == "__main__":
    main()
