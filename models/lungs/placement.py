"""Lead what lies on a film's region back to the film's own pixels. Loads no PyTorch."""

from collections.abc import Sequence

from models.card import Grid
from models.radiograph import Affine


def region_affine(
    affine: Affine, region: Sequence[float], *, image_size: Grid, raster: Grid
) -> Affine:
    """Return the affine from a raster that covers a film's region to the film's pixels.

    The raster is the crop's pixels, or a grid of equal cells that fill it. Its corner (0, 0) is the
    region's top left corner.

    Args:
        affine: From network pixel coordinates to film pixels, as `NetworkPixels` has it.
        region: Top, left, bottom, right as shares of the network's input.
        image_size: Rows and columns of the network's input.
        raster: Rows and columns of the raster.
    """
    top, left, bottom, right = (float(share) for share in region)
    rows, columns = image_size
    x_scale, x_start = columns * (right - left) / raster[1], columns * left
    y_scale, y_start = rows * (bottom - top) / raster[0], rows * top
    a, b, c, d, e, f = affine
    return (
        a * x_scale,
        b * y_scale,
        a * x_start + b * y_start + c,
        d * x_scale,
        e * y_scale,
        d * x_start + e * y_start + f,
    )
