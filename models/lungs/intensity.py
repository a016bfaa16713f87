"""Standardise a film's grey values by those inside the lungs, and blank what lies outside.

A scanner's exposure, contrast and post-processing change the grey values of the lungs, letters and
collimation lie outside of them: a network that gets neither can tell less well where a film was
made.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from models.card import Standardisation
from models.layers import CONTRAST_FLOOR, CONTRAST_MEAN, CONTRAST_STD
from models.lungs.region import FAINT, films_last, quantile

Film = Float[Tensor, "batch 1 rows columns"]

BLANK = 0.5
"""What pixels outside the lungs become: the middle of standardised grey values."""
BEYOND = 0.02
"""How far the lungs are dilated, as a share of the crop; another such share is the transition."""
SURE = 0.25
"""A mask of this level or more leaves its pixels as they are."""
BINS = 64
"""Bins of the distribution of grey values; the first is centred on 0, the last on 1."""
SAMPLED = 64
"""Pixels along a side, at most, that the distribution is made from."""
LINEAR_TAILS = (0.02, 0.98)
"""Quantiles inside the lungs that become 0 and 1 in the linear part."""
LINEAR_FLOOR = (BINS - 1) / 255
"""One grey level in 256, in bins: it keeps a flat film finite."""


def standardised(pixels: Film, lungs: Film, by: Standardisation) -> Film:
    """Return pixels standardised by the grey values inside the lungs.

    Args:
        pixels: In [0, 1].
        lungs: Soft mask of the same size. Where it is empty the whole film counts.
        by: `ranks` or `mean_std`, see the function of that name; `none` changes nothing.
    """
    if by == "none":
        return pixels
    return (by_ranks if by == "ranks" else by_mean_std)(pixels, lungs)


def by_mean_std(pixels: Film, lungs: Film) -> Film:
    """Return pixels whose mean inside the lungs is 0.5 and whose standard deviation there is 0.2.

        out = 0.5 + 0.2 * (pixel - mean) / sqrt(variance + floor^2)

    The floor is 4/255: flatter lungs stay flat. Values are unbounded.

    Args:
        pixels: In [0, 1].
        lungs: Soft mask that weights the pixels in mean and variance.
    """
    weight = lungs + FAINT
    total = _sum(weight)
    deviation = pixels - _sum(weight * pixels) / total
    variance = _sum(weight * deviation.square()) / total
    return CONTRAST_MEAN + CONTRAST_STD * deviation / (variance + CONTRAST_FLOOR**2).sqrt()


def _sum(
    x: Float[Tensor, "batch channels rows columns"],
) -> Float[Tensor, "batch channels 1 1"]:
    """Return the sum over rows of the sums of rows: in float32 one long sum is off by 1e-5."""
    return x.sum(dim=3, keepdim=True).sum(dim=2, keepdim=True)


def by_ranks(pixels: Film, lungs: Film) -> Film:
    """Return the mean of each pixel's rank inside the lungs and its clipped linear grey value.

        out = (rank(pixel) + clip((pixel - q02) / (q98 - q02 + 1/255), 0, 1)) / 2    in [0, 1]

    The rank is the share of the lungs that is darker; q02 and q98 are quantiles inside the lungs.
    A curve over all grey values (gamma, a look-up table) does not change a rank; the linear part
    keeps how far apart grey values are.

    Args:
        pixels: In [0, 1].
        lungs: Soft mask that weights the pixels in the distribution.
    """
    place = 0.5 + pixels.clamp(0, 1) * (BINS - 1)
    darker = _distribution(place, lungs)
    masses = darker[:, 1:] - darker[:, :-1]
    low, high = (quantile(masses, share)[:, None] for share in LINEAR_TAILS)
    flat = place.flatten(1)
    below = flat.floor()
    number = below.long()
    rank = darker.gather(1, number) + (flat - below) * masses.gather(1, number)
    linear = ((flat - low) / (high - low + LINEAR_FLOOR)).clamp(0, 1)
    return ((rank + linear) / 2).view_as(pixels)


def _distribution(place: Film, lungs: Film) -> Float[Tensor, "batch edges"]:
    """Return the share of the lungs that is darker than each edge between bins, from 0 to 1.

    A pixel counts in parts, as if spread evenly over one bin around itself, so that the
    distribution is continuous in the pixels.

    Args:
        place: Pixels in units of bins, from 0.5 to `BINS` - 0.5.
        lungs: Their weights.
    """
    down, across = (-(-side // SAMPLED) for side in place.shape[2:])
    samples, weight = (x[:, :, ::down, ::across] for x in (place, lungs + FAINT))
    edges = torch.arange(BINS + 1, dtype=place.dtype, device=place.device)
    parts = (edges[:, None, None] + 0.5 - samples).clamp(0, 1)
    return (_sum(parts * weight) / _sum(weight)).flatten(1)


def blanked(pixels: Film, lungs: Film, beyond: float = BEYOND) -> Film:
    """Return pixels that become 0.5 outside the dilated lungs, by a smooth transition.

    Pixels where `lungs` is 0.25 or more stay as they are; those further than 2 * `beyond` from any
    lung are exactly 0.5.

    Args:
        pixels: Standardised.
        lungs: Soft mask of the same size, exactly 0 outside.
        beyond: How far the lungs are dilated, as a share of each side.
    """
    kept = surroundings(lungs, beyond)
    return pixels * kept + BLANK * (1 - kept)


def surroundings(lungs: Film, beyond: float = BEYOND) -> Film:
    """Return the lungs dilated and smoothed: 1 in the lungs, 0 beyond twice the dilation.

    A maximum over a window, then a mean over a window of the same size; both are separable.
    """
    kept = films_last((lungs / SURE).clamp(max=1))
    rows, columns = (round(beyond * side) for side in lungs.shape[2:])
    windows = (((2 * rows + 1, 1), (rows, 0)), ((1, 2 * columns + 1), (0, columns)))
    for window, padding in windows:
        kept = functional.max_pool2d(kept, window, stride=1, padding=padding)
    for window, padding in windows:
        kept = functional.avg_pool2d(
            kept, window, stride=1, padding=padding, count_include_pad=False
        )
    return kept.transpose(0, 1)
