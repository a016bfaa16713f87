"""A subset of a data set, with class numbers mapped to fewer classes."""

from collections.abc import Sequence

from torch.utils.data import Dataset

from training.data.dataset import FilmDataset, LabelledFilm
from training.fitting.feature_cache import FeatureDataset
from training.outlines.dataset import OutlineDataset


class Subset(Dataset[LabelledFilm]):
    """Some films of a data set; what is cached for the data set serves its subsets.

    Attributes:
        whole: The data set.
        films: Places in it.
        targets: Class numbers.
        sources: Where each film comes from.
    """

    def __init__(
        self,
        whole: "FilmDataset | FeatureDataset | OutlineDataset | Subset",
        films: Sequence[int],
        targets: Sequence[int],
    ) -> None:
        """Choose films.

        Args:
            whole: The data set.
            films: Places in it.
            targets: Class numbers of these films.
        """
        self.whole = whole
        self.films = films
        self.targets = targets
        self.sources: Sequence[str] = [whole.sources[film] for film in films]

    @property
    def epoch(self) -> int:
        """Set before each pass."""
        return self.whole.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self.whole.epoch = epoch

    def __len__(self) -> int:
        return len(self.films)

    def __getitem__(self, index: int) -> LabelledFilm:
        """Return a film with its class number in this subset; indices past the last are copies."""
        copy, film = divmod(index, len(self))
        pixels, _ = self.whole[copy * len(self.whole) + self.films[film]]
        return pixels, self.targets[film]


Films = FilmDataset | FeatureDataset | OutlineDataset | Subset
