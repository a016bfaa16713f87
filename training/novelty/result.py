"""Write down what `cxr novelty` measures: figures by origin left out, and errors by coverage."""

from models.card import Metric, Record
from training.data.manifest import Split


class ToldApart(Record):
    """How well one number tells an origin's films, which it never saw, from films of the others.

    Attributes:
        auroc: Films of the origin left out against films at home; 0.5 is by chance.
        flagged: Share of the origin's films above the limit that most val films at home pass.
        flagged_at_home: Share of the films at home above it.
    """

    auroc: Metric
    flagged: Metric
    flagged_at_home: Metric


class OriginLeftOut(Record):
    """One origin left out of what the numbers are fitted on.

    Attributes:
        origin: Its name.
        films: Of it.
        split: Theirs; train where the split asked for has none. No fit has seen them either.
        home: Films of the other origins, of the split asked for.
        novelty: By the acquisition of the film.
        distance: By a network's features; None without a network.
    """

    origin: str
    films: int
    split: Split
    home: int
    novelty: ToldApart
    distance: ToldApart | None = None


class Flagged(Record):
    """Share of known films beyond the limit, no origin left out: by class and by source.

    Attributes:
        attribute: `label` or `source`.
        value: Of it.
        films: Of the split.
        flagged: Share of them.
    """

    attribute: str
    value: str
    films: int
    flagged: Metric


class CoverageError(Record):
    """Share of wrong answers among the films that a score accepts first."""

    coverage: float
    error: Metric


class RiskByScore(Record):
    """Errors as films are refused, the largest score first.

    Attributes:
        score: `novelty` or `uncertainty` (1 - largest probability).
        area: Under the risk-coverage curve: the mean error over all coverages.
        errors: At some coverages.
        coverage: Of each point of the curve, in (0, 1].
        risk: Error rate among the films accepted there.
    """

    score: str
    area: Metric
    errors: tuple[CoverageError, ...]
    coverage: tuple[float, ...]
    risk: tuple[float, ...]


class LeftOutRisk(Record):
    """Right and wrong answers about films of origins that neither network nor novelty has seen.

    Attributes:
        recipe: Name and version of the networks' recipe.
        seeds: Of its trainings; all figures are means over them.
        films: Of classes that the network without their origin knows.
        known: Share of them within the limit of novelty.
        right_known: Share of these that is classified rightly.
        right_novel: The same of films beyond the limit.
        difference: The former less the latter.
        by_score: Errors as films are refused.
    """

    recipe: str
    seeds: int
    films: int
    known: float
    right_known: Metric
    right_novel: Metric
    difference: Metric
    by_score: tuple[RiskByScore, ...]


class NoveltyResult(Record):
    """The content of the file that `cxr novelty` writes.

    Attributes:
        config: Name and version of the recipe whose input is measured.
        split: Of the films at home.
        statistics: How many there are of a film.
        origins: Left out in turn.
        novelty_auroc: Mean over the origins.
        distance_auroc: The same by distance.
        at_home: Films of the split beyond the limit of a novelty that knows all origins.
        risk: What networks that never saw the origins get right; None if not asked.
    """

    config: str
    split: Split
    statistics: int
    origins: tuple[OriginLeftOut, ...]
    novelty_auroc: Metric
    distance_auroc: Metric | None
    at_home: tuple[Flagged, ...]
    risk: LeftOutRisk | None = None
