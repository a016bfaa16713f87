"""What comes before a network: crop a film to its lungs, standardise them, blank the rest."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from models.card import Grid, Standardisation
from models.lungs.intensity import BEYOND, blanked, standardised
from models.lungs.pieces import LungFigures, TwoLungs, certainty, lung_figures
from models.lungs.region import MARGIN, cropped, lung_region


class LungView(NamedTuple):
    """A film as a network sees it, cropped to the lungs.

    Attributes:
        pixels: The region's pixels, standardised by those inside the lungs, 0.5 outside.
        inside: Soft mask of the lungs on these pixels, exactly 0 outside.
        lungs: The same on the whole film, at the size of the mask that came in.
        region: Top, left, bottom, right of the region as shares of the film in [0, 1].
        figures: By which lungs that are not plausible are told.
    """

    pixels: Float[Tensor, "batch 1 rows columns"]
    inside: Float[Tensor, "batch 1 rows columns"]
    lungs: Float[Tensor, "batch 1 mask_rows mask_columns"]
    region: Float[Tensor, "batch 4"]
    figures: LungFigures


class LungFront(nn.Module):
    """Crop films to their lungs, standardise the grey values inside, and blank the rest.

    It has no weights. Every step is continuous in pixels and mask, and finite where there are no
    lungs: such a film is seen whole, and blank.
    """

    def __init__(
        self,
        *,
        mask_size: Grid,
        crop_size: Grid,
        standardisation: Standardisation = "ranks",
        margin: float = MARGIN,
        blanks: bool = True,
        beyond: float = BEYOND,
    ) -> None:
        """Set the sizes.

        Args:
            mask_size: Rows and columns of the lung mask that comes in.
            crop_size: Rows and columns of the network's input.
            standardisation: How grey values inside the lungs become alike.
            margin: Margin around the lungs, as a share of their box on each side.
            blanks: Whether what lies outside the lungs is blanked.
            beyond: How far pixels outside the lungs are kept, as a share of the crop's sides.
        """
        super().__init__()
        self.two_lungs = TwoLungs(mask_size)
        self.crop_size = crop_size
        self.standardisation = standardisation
        self.margin = margin
        self.blanks = blanks
        self.beyond = beyond

    def forward(
        self,
        pixels: Float[Tensor, "batch 1 film_rows film_columns"],
        probabilities: Float[Tensor, "batch 1 mask_rows mask_columns"],
    ) -> LungView:
        """Return the film's view.

        Args:
            pixels: The trimmed film in [0, 1].
            probabilities: Of lung, on the same film in fewer cells.
        """
        mask = certainty(probabilities)
        lungs = self.two_lungs(mask)
        region = lung_region(lungs, self.margin)
        inside = cropped(lungs, region, self.crop_size)
        seen = cropped(pixels, region, self.crop_size)
        seen = standardised(seen, inside, self.standardisation)
        if self.blanks:
            seen = blanked(seen, inside, self.beyond)
        return LungView(seen, inside, lungs, region, lung_figures(mask, lungs))
