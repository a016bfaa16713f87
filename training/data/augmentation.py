"""Augment training films: random position, grey levels, sharpness, noise, letters and corners.

Further planes move with a film: the outline of its lungs, and where evidence should not lie.
"""

import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as transforms

from training.config import AugmentationConfig
from training.data.style_mixing import StyleBank, histogram_matched, style_mixed

Pixels = UInt8[Tensor, "1 rows columns"]
Planes = UInt8[Tensor, "planes rows columns"]
Change = Callable[[Pixels, np.random.Generator], Pixels]

CURVE_KNOTS = 5
"""Knots of a random tone curve, black and white included."""


@dataclass(frozen=True)
class FilmAugmentation:
    """Change a film at random: its position, grey levels, sharpness and corners.

    Attributes:
        config: How strong each change is, or which share of the films it changes.
        style_bank: Other training films, for the changes that take the style of another film.
    """

    config: AugmentationConfig
    style_bank: StyleBank | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.style_bank is None and (self.config.style_mixing or self.config.histogram_matching):
            raise ValueError("style_bank must be given if style_mixing or histogram_matching is on")

    def __call__(self, film: Planes, random: np.random.Generator) -> Planes:
        """Return a changed copy of a film of 0 to 255; planes after the first only move with it.

        The second one, the outline of the lungs, is also widened or narrowed.
        """
        pixels, others = film[:1], film[1:]
        for share, change in self._before_moving():
            if share and random.random() < share:
                pixels = change(pixels, random)
        film = moved(torch.cat([pixels, others]), random, self.config)
        pixels, others = film[:1], torch.cat([self._redrawn(film[1:2], random), film[2:]])
        pixels = regraded(pixels, random, self.config)
        for share, change in self._after_moving():
            if share and random.random() < share:
                pixels = change(pixels, random)
        return torch.cat([pixels, others])

    def _redrawn(self, outline: Planes, random: np.random.Generator) -> Planes:
        """Return the outline widened or narrowed by as much as the config allows at most."""
        if not (len(outline) and self.config.outline):
            return outline
        distance = round(random.uniform(-1, 1) * self.config.outline * outline.shape[2])
        kernel = cv2.getStructuringElement(
            cv2.MORPH_ELLIPSE, (2 * abs(distance) + 1, 2 * abs(distance) + 1)
        )
        change = cv2.dilate if distance > 0 else cv2.erode
        return torch.from_numpy(np.stack([change(plane.numpy(), kernel) for plane in outline]))

    def _before_moving(self) -> Iterator[tuple[float, Change]]:
        """Yield changes of the radiograph itself, which then move with it."""
        if self.style_bank is not None:
            yield self.config.histogram_matching, partial(histogram_matched, bank=self.style_bank)
            yield self.config.style_mixing, partial(style_mixed, bank=self.style_bank)
        yield self.config.tone_curve, tone_curved
        yield self.config.clahe, equalised
        yield self.config.opacities, clouded
        yield self.config.letters, lettered

    def _after_moving(self) -> Iterator[tuple[float, Change]]:
        """Yield changes of the frame, then those that detectors and file formats make."""
        yield self.config.shading, shaded
        yield self.config.corner_masking, corners_masked
        yield self.config.sharpness, sharpened
        yield self.config.blur, blurred
        yield self.config.downsampling, partial(downsampled, smallest=self.config.smallest_size)
        yield self.config.noise, grained
        yield self.config.jpeg, compressed


def augmentation(config: AugmentationConfig, bank: StyleBank) -> FilmAugmentation | None:
    """Return the augmentation of training films, or None if every kind of it is off."""
    is_off = config == AugmentationConfig.off(smallest_size=config.smallest_size)
    return None if is_off else FilmAugmentation(config, bank)


def moved(film: Planes, random: np.random.Generator, config: AugmentationConfig) -> Planes:
    """Return the film rotated, shifted and resized a little; the uncovered border is black.

    It may be mirrored, and drawn out in one direction, before that.
    """
    rows, columns = film.shape[1:]
    if config.mirror and random.random() < config.mirror:
        film = film.flip(2)
    if config.stretch:
        film = _drawn_out(film, math.exp(random.uniform(-config.stretch, config.stretch)))
    horizontal, vertical = random.uniform(-config.shift, config.shift, size=2)
    return transforms.affine(
        film,
        angle=float(random.uniform(-config.rotation, config.rotation)),
        translate=[round(horizontal * columns), round(vertical * rows)],
        scale=float(random.uniform(1 - config.zoom, 1 + config.zoom)),
        shear=[0.0],
        interpolation=InterpolationMode.BILINEAR,
    )


def _drawn_out(film: Planes, factor: float) -> Planes:
    """Return the middle of the film, `factor` times as high; where it is less, black is added."""
    rows, columns = film.shape[1:]
    drawn = transforms.resize(film, [max(1, round(rows * factor)), columns], antialias=True)
    return transforms.center_crop(drawn, [rows, columns])


def regraded(pixels: Pixels, random: np.random.Generator, config: AugmentationConfig) -> Pixels:
    """Return the film as another exposure would show it: gamma, contrast and brightness."""
    exponent = math.exp(random.uniform(-config.gamma, config.gamma))
    gain = 1 + random.uniform(-config.contrast, config.contrast)
    offset = random.uniform(-config.brightness, config.brightness)
    grey = (pixels.float() / 255) ** exponent
    grey = (grey - grey.mean()) * gain + grey.mean() + offset
    return (grey.clamp(0, 1) * 255).round().to(torch.uint8)


def blurred(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Return the film blurred by a Gaussian of 0.3 to 1.5 pixels standard deviation."""
    return transforms.gaussian_blur(pixels, kernel_size=[7, 7], sigma=[random.uniform(0.3, 1.5)])


def downsampled(pixels: Pixels, random: np.random.Generator, *, smallest: float = 0.4) -> Pixels:
    """Return the film reduced to between `smallest` and 0.9 of its size and enlarged again."""
    rows, columns = pixels.shape[1:]
    scale = random.uniform(smallest, 0.9)
    small = transforms.resize(pixels, [round(rows * scale), round(columns * scale)], antialias=True)
    return transforms.resize(small, [rows, columns])


def compressed(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Return the film after JPEG compression with a quality between 30 and 95."""
    file = io.BytesIO()
    Image.fromarray(pixels[0].numpy()).save(file, "JPEG", quality=int(random.integers(30, 95)))
    return torch.from_numpy(np.array(Image.open(file)))[None]


def sharpened(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Return the film with edges enhanced, as some scanners' software does."""
    smooth = transforms.gaussian_blur(pixels, kernel_size=[7, 7], sigma=[random.uniform(0.7, 1.5)])
    detail = pixels.float() - smooth
    return _bytes(pixels + random.uniform(0.3, 1.5) * detail)


def grained(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Return the film with independent noise of up to 4 % of white."""
    grain = random.standard_normal(tuple(pixels.shape), np.float32)
    return _bytes(pixels + random.uniform(0.005, 0.04) * 255 * torch.from_numpy(grain))


def tone_curved(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Return the film through a random rising tone curve that keeps black and white.

    Source:
        The monotone half of Zhou et al. 2019, arXiv:1908.06912, section 2 (non-linear intensity
        transformation), with straight pieces; a falling curve would make a negative.
    """
    steps = random.dirichlet(np.full(CURVE_KNOTS - 1, 4.0))
    heights = 255 * np.concatenate([[0.0], np.cumsum(steps)])
    curve = np.interp(np.arange(256), np.linspace(0, 255, CURVE_KNOTS), heights)
    return _looked_up(pixels, curve)


def equalised(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Return the film with its contrast equalised locally, mixed with the film as it was.

    Source:
        Zuiderveld 1994, Graphics Gems IV, contrast limited adaptive histogram equalisation.
    """
    clahe = cv2.createCLAHE(clipLimit=float(random.uniform(1, 4)), tileGridSize=(8, 8))
    equal = torch.from_numpy(clahe.apply(pixels[0].numpy()))[None]
    share = float(random.uniform(0.3, 1))
    return _bytes(torch.lerp(pixels.float(), equal.float(), share))


def lettered(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Return the film with one to three bright letters near its corners.

    They do not depend on the class, so that a network learns to ignore letters.
    """
    rows, columns = pixels.shape[1:]
    picture = Image.fromarray(pixels[0].numpy())
    draw = ImageDraw.Draw(picture)
    for _ in range(random.integers(1, 4)):
        text = "".join(random.choice(list("LRDAPEXCT0123")) for _ in range(random.integers(1, 4)))
        x, y = random.uniform(0.01, 0.16, size=2)
        across, down = (float(random.choice([share, 0.94 - share])) for share in (x, y))
        place = across * columns, down * rows
        size = max(6, round(random.uniform(0.04, 0.1) * columns))
        draw.text(place, text, fill=int(random.integers(180, 256)), font=_font(size))
    return torch.from_numpy(np.array(picture))[None]


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def clouded(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Return the film with one to three soft bright clouds anywhere, as disease may look."""
    rows, columns = pixels.shape[1:]
    cloud = torch.zeros(rows, columns)
    for _ in range(random.integers(1, 4)):
        row, column, radius, height = random.uniform([0, 0, 0.06, 0.1], [1, 1, 0.25, 0.5])
        cloud += height * _bell(rows, columns, centre=(row, column), radii=(radius, radius))
    return _bytes(pixels + 255 * cloud)


def _bell(
    rows: int, columns: int, *, centre: tuple[float, float], radii: tuple[float, float]
) -> Float[Tensor, "{rows} {columns}"]:
    """Return a Gaussian of height 1; centre and radii, down and across, are shares of the sides."""
    y, x = torch.arange(rows)[:, None] / rows, torch.arange(columns) / columns
    down, across = (y - centre[0]) / radii[0], (x - centre[1]) / radii[1]
    return torch.exp(-(across**2) - down**2)


@dataclass(frozen=True)
class LungOpacities:
    """Draw a soft opacity into the lungs of some films, and mark it on their last plane.

    Attributes:
        share: Of films that are drawn on.
    """

    share: float

    def __call__(self, film: Planes, random: np.random.Generator) -> Planes:
        """Return the film with or without one; its planes are pixels, lungs and mark, 0 to 255."""
        pixels, lungs, _ = film
        inside = torch.nonzero(lungs > 127)
        if random.random() >= self.share or not len(inside):
            return film
        rows, columns = pixels.shape
        row, column = inside[random.integers(len(inside))].tolist()
        down, across, density = random.uniform([0.04, 0.04, 0.15], [0.14, 0.14, 0.5])
        bell = _bell(rows, columns, centre=(row / rows, column / columns), radii=(down, across))
        opacity = bell * lungs
        return torch.stack([_bytes(pixels + density * opacity), lungs, _bytes(opacity)])


def shaded(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Return the film times a smooth random field of 0.6 to 1.4, as uneven exposure looks."""
    field = torch.from_numpy(random.uniform(0.6, 1.4, (1, 4, 4)).astype(np.float32))
    smooth = transforms.resize(field, list(pixels.shape[1:]), InterpolationMode.BICUBIC)
    return _bytes(pixels * smooth)


def corners_masked(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Return the film with each corner and each border strip covered with probability one half.

    A corner is up to a fifth of each side, a strip up to a twentieth; the cover is an even grey
    between black and the film's median, or noise around it.

    Source:
        Zhong et al. 2017, arXiv:1708.04896 (random erasing), where letters and markers stand.
    """
    film = pixels[0].numpy().copy()
    median = np.median(film)
    for region in _edge_regions(film, random):
        grain = random.choice([0.0, 20.0]) * random.standard_normal(region.shape, np.float32)
        region[:] = (random.uniform(0, median) + grain).clip(0, 255)
    return torch.from_numpy(film)[None]


def _edge_regions(
    film: UInt8[np.ndarray, "rows columns"], random: np.random.Generator
) -> Iterator[UInt8[np.ndarray, "_ _"]]:
    """Yield views of some of the corners and border strips."""
    for turns in range(4):
        turned = np.rot90(film, turns)
        rows, columns = turned.shape
        high, wide, deep = random.uniform([0.05, 0.05, 0.01], [0.2, 0.2, 0.05])
        if random.random() < 0.5:
            yield turned[: max(1, round(high * rows)), : max(1, round(wide * columns))]
        if random.random() < 0.5:
            yield turned[: max(1, round(deep * rows))]


def _looked_up(pixels: Pixels, curve: np.ndarray) -> Pixels:
    """Return the film with each grey level replaced by the curve's value there."""
    table = np.rint(curve).clip(0, 255).astype(np.uint8)
    return torch.from_numpy(cv2.LUT(pixels[0].numpy(), table))[None]


def _bytes(grey: Tensor) -> UInt8[Tensor, "..."]:
    return grey.round().clamp(0, 255).to(torch.uint8)
