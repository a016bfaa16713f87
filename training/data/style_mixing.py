"""Give a film another film's style: its histogram, or its slow changes of brightness.

Both show the scanner, and mostly not the disease: mixing them across sources hides from a network
which source a film comes from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

Pixels = UInt8[Tensor, "1 rows columns"]

LOW_FREQUENCIES = 0.015
"""Highest frequency that is mixed, in cycles per pixel: three cycles over a film of 224 pixels."""

BLACK = 8
"""Grey levels below it are frame and air, and are not matched."""


@dataclass(frozen=True)
class StyleBank:
    """Training films to take a style from.

    Attributes:
        pixels: The films.
        sources: Source of each; all sources are drawn equally often.
    """

    pixels: UInt8[np.ndarray, "films rows columns"]
    sources: Sequence[str]

    def __post_init__(self) -> None:
        if len(self.pixels) != len(self.sources):
            raise ValueError(
                f"sources must be one per film: {len(self.pixels)} films, {len(self.sources)}"
            )

    @cached_property
    def _films_by_source(self) -> tuple[Int[np.ndarray, " films"], ...]:
        sources = np.asarray(self.sources)
        return tuple(np.flatnonzero(sources == source) for source in np.unique(sources))

    def drawn(self, random: np.random.Generator) -> Pixels:
        """Return a random film; every source is equally likely."""
        films = self._films_by_source[random.integers(len(self._films_by_source))]
        return torch.from_numpy(np.array(self.pixels[random.choice(films)]))[None]


def histogram_matched(pixels: Pixels, random: np.random.Generator, *, bank: StyleBank) -> Pixels:
    """Return the film with its histogram partly matched to another film's; black stays.

    Source:
        Gonzalez and Woods 2018, Digital Image Processing, section 3.3, histogram specification.
    """
    own, other = (_cumulated(film) for film in (pixels, bank.drawn(random)))
    levels = np.arange(256)
    matched = np.where(levels < BLACK, levels, np.interp(own, other, levels))
    curve = levels + random.uniform(0.3, 1) * (matched - levels)
    table = np.rint(curve).clip(0, 255).astype(np.uint8)
    return torch.from_numpy(cv2.LUT(pixels[0].numpy(), table))[None]


def _cumulated(pixels: Pixels) -> np.ndarray:
    """Return the share of pixels at or below each grey level, black left out; strictly rising."""
    counts = np.bincount(pixels.numpy().ravel(), minlength=256) + 1e-3
    counts[:BLACK] = 1e-3
    return counts.cumsum() / counts.sum()


def style_mixed(pixels: Pixels, random: np.random.Generator, *, bank: StyleBank) -> Pixels:
    """Return the film with low-frequency amplitudes mixed with another film's; phases stay.

    Source:
        Yang and Soatto 2020, arXiv:2004.05498, equation 3 (which amplitudes); Xu et al. 2021,
        arXiv:2105.11182, equation 4 (mixed instead of swapped).
    """
    own, other = (torch.fft.rfft2(film[0].float()) for film in (pixels, bank.drawn(random)))
    rows, columns = pixels.shape[1:]
    is_low = (torch.fft.fftfreq(rows).abs()[:, None] <= LOW_FREQUENCIES) & (
        torch.fft.rfftfreq(columns) <= LOW_FREQUENCIES
    )
    share = float(random.uniform(0, 1))
    low = own[is_low]
    amplitude = torch.lerp(low.abs(), other[is_low].abs(), share)
    own[is_low] = torch.polar(amplitude, low.angle())
    mixed = torch.fft.irfft2(own, s=(rows, columns))
    return mixed.round().clamp(0, 255).to(torch.uint8)[None]
