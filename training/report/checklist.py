"""List the items of reporting guidelines, and where a report answers each or why it does not.

Source:
    CLAIM 2024 update, Tejani et al. 2024, Radiology: Artificial Intelligence 6(4):e240300;
    TRIPOD+AI, Collins et al. 2024, BMJ 385:e078378. Topics are in our own words.
"""

from collections.abc import Iterator
from typing import NamedTuple

from training.evaluation.figures import Figures


class Item(NamedTuple):
    """One item of the guidelines.

    Attributes:
        claim: Number in CLAIM 2024, or "-".
        tripod: Number in TRIPOD+AI, or "-".
        topic: What is asked.
        is_answered: Whether this report, or the card in the model's file, answers it.
        answer: Where, or why not.
    """

    claim: str
    tripod: str
    topic: str
    is_answered: bool
    answer: str


CARD = "card in the model's file"


def checklist(figures: Figures) -> Iterator[Item]:
    """Yield all items."""
    yield from BEFORE
    yield from _depending_on(figures)
    yield from AFTER


BEFORE = (
    Item("3", "3a, 3b", "Intended use and role", True, f"{CARD}: intended_use, limits"),
    Item("5", "-", "Prospective or retrospective", True, "retrospective, public collections"),
    Item("7", "5a", "Data sources", True, f"Films; {CARD}: training_data.description"),
    Item(
        "8", "6b", "Eligibility of patients", False, "as the publishers chose; unknown for several"
    ),
    Item("-", "5b", "Dates of accrual", False, "the collections state none, or not for each film"),
    Item("9", "7", "Preprocessing", True, f"{CARD}: resize_mode, image_size, mean, std"),
    Item("11", "-", "De-identification", False, "done by the publishers; not checked by this tool"),
    Item("12", "11", "Missing data", True, "an attribute that is missing is a subgroup, `unknown`"),
    Item("13", "-", "Acquisition protocol", False, "known by source and view only"),
    Item(
        "14-16",
        "8a",
        "Reference standard and its annotators",
        False,
        "the publishers' labels; how each was found stands in the data set's own description",
    ),
    Item("18", "8c", "Variability between readers", False, "one label per film: not measurable"),
    Item("19", "12a", "How films were split", True, "Films: by group; manifest and split hashes"),
    Item(
        "20", "-", "Level at which splits are disjoint", True, "patient and group; checked at start"
    ),
    Item("21", "10", "Sample size", False, "all films there are; intervals say what they bear"),
    Item("22", "12c", "The model", True, f"Models; {CARD}; architecture in the repository"),
    Item(
        "24-26", "12c", "Initialisation, training, selection", True, "training/configs, run folder"
    ),
    Item("-", "13", "Class imbalance", True, "Films; metrics by class and averaged over classes"),
    Item("28", "12e", "Metrics", True, "Methods"),
    Item("29", "12e", "Uncertainty and significance", True, "Methods: bootstrap by group"),
    Item(
        "31", "-", "Explainability", True, "heat maps of the service; verified in *.backprop.json"
    ),
)

AFTER = (
    Item("34", "18d", "Registration", False, "none"),
    Item("36", "20b", "Characteristics of cases in each split", True, "Films"),
    Item("37-38", "23a", "Performance with precision", True, "Discrimination, By class"),
    Item("-", "14, 23a", "Fairness: performance in subgroups", True, "Subgroups"),
    Item("39", "-", "Failure analysis", True, "Wrong answers; why each is wrong is not known"),
    Item("40", "26", "Limitations", True, f"the note above; {CARD}: limits"),
    Item("41", "25, 27a-c", "Use in practice", False, "none is intended: research use only"),
    Item("42-43", "18c-f", "Protocol, data and code", True, "repository; hashes under Films"),
    Item("-", "17", "Ethical approval", False, "the publishers' own; none was sought for this"),
    Item("-", "19", "Patients and public involved", False, "none"),
    Item("44", "18a, 18b", "Funding and interests", False, "not stated"),
)


def _depending_on(figures: Figures) -> Iterator[Item]:
    has_unseen_origins = figures.left_out is not None
    yield Item(
        "30",
        "12d, 23b",
        "Robustness and heterogeneity between sources",
        True,
        "Within a source, Subgroups" + (", Left-out origins" if has_unseen_origins else ""),
    )
    is_internal = all(model.is_trained_on_these_splits for model in figures.models)
    yield Item(
        "32",
        "12a",
        "Evaluation on internal data",
        is_internal,
        "this report" if is_internal else "these are not the models' own films or splits",
    )
    external = _external(is_internal, has_unseen_origins)
    yield Item("33", "-", "Testing on external data", False, external)
    has_baselines = bool(figures.baselines)
    yield Item(
        "-",
        "-",
        "What can be had without a lung (not asked, but needed here)",
        has_baselines,
        "Discrimination: baselines" if has_baselines else "left out by --no-baselines",
    )


def _external(is_internal: bool, has_unseen_origins: bool) -> str:
    if not is_internal:
        return "whether these films are from elsewhere, the manifest does not say"
    if has_unseen_origins:
        return "origins left out of training stand in for it"
    return "nor were origins left out of training: see `cxr leave-out`"
