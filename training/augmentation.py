"""Random changes that leave a film's meaning as it is; no flip, because the heart has a side."""

import io
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as transforms

from training.config import AugmentationConfig

Pixels = UInt8[Tensor, "1 rows columns"]


@dataclass(frozen=True)
class FilmAugmentation:
    """Position, grey levels and sharpness changed at random, as far as `config` allows."""

    config: AugmentationConfig

    def __call__(self, pixels: Pixels, random: np.random.Generator) -> Pixels:
        """Return a changed copy of a film of 0 to 255."""
        pixels = moved(pixels, random, self.config)
        pixels = regraded(pixels, random, self.config)
        if random.random() < self.config.blur:
            pixels = blurred(pixels, random)
        if random.random() < self.config.downsampling:
            pixels = downsampled(pixels, random)
        if random.random() < self.config.jpeg:
            pixels = compressed(pixels, random)
        return pixels


def augmentation(config: AugmentationConfig) -> FilmAugmentation | None:
    """Return the change of training films, or None where each kind of it is off."""
    return FilmAugmentation(config) if any(config.model_dump().values()) else None


def moved(pixels: Pixels, random: np.random.Generator, config: AugmentationConfig) -> Pixels:
    """Return the film rotated, shifted and resized a little; what comes in is black."""
    rows, columns = pixels.shape[1:]
    horizontal, vertical = random.uniform(-config.shift, config.shift, size=2)
    return transforms.affine(
        pixels,
        angle=float(random.uniform(-config.rotation, config.rotation)),
        translate=[round(horizontal * columns), round(vertical * rows)],
        scale=float(random.uniform(1 - config.zoom, 1 + config.zoom)),
        shear=[0.0],
        interpolation=InterpolationMode.BILINEAR,
    )


def regraded(pixels: Pixels, random: np.random.Generator, config: AugmentationConfig) -> Pixels:
    """Return the film as another exposure would show it: gamma, contrast and brightness."""
    exponent = math.exp(random.uniform(-config.gamma, config.gamma))
    gain = 1 + random.uniform(-config.contrast, config.contrast)
    offset = random.uniform(-config.brightness, config.brightness)
    grey = (pixels.float() / 255) ** exponent
    grey = (grey - grey.mean()) * gain + grey.mean() + offset
    return (grey.clamp(0, 1) * 255).round().to(torch.uint8)


def blurred(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Return the film out of focus by up to 1.5 pixels."""
    return transforms.gaussian_blur(pixels, kernel_size=[7, 7], sigma=[random.uniform(0.3, 1.5)])


def downsampled(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Return the film reduced to between 0.4 and 0.9 of its size and enlarged again."""
    rows, columns = pixels.shape[1:]
    scale = random.uniform(0.4, 0.9)
    small = transforms.resize(pixels, [round(rows * scale), round(columns * scale)], antialias=True)
    return transforms.resize(small, [rows, columns])


def compressed(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Return the film after JPEG compression with a quality between 30 and 95."""
    file = io.BytesIO()
    Image.fromarray(pixels[0].numpy()).save(file, "JPEG", quality=int(random.integers(30, 95)))
    return torch.from_numpy(np.array(Image.open(file)))[None]
