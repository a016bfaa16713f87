"""Write the card inside an exported file as a Markdown page.

Source:
    Mitchell et al. 2019, arXiv:1810.03993, figure 1: the sections and their order.
"""

from collections.abc import Iterator
from pathlib import Path

from models.card import Metric, ModelCard

METHODS = {"grad_cam": "Grad-CAM", "hirescam": "HiResCAM", "legrad": "LeGrad"}
TASKS = {
    "multiclass": "exactly one class per film (softmax)",
    "multilabel": "any number of classes per film (sigmoid)",
}


def write_page(card: ModelCard, model: Path) -> Path:
    """Write a model's page beside it and return its path, `<model>.MODEL_CARD.md`."""
    path = model.with_suffix(".MODEL_CARD.md")
    path.write_text(model_card_page(card), encoding="utf-8")
    return path


def model_card_page(card: ModelCard) -> str:
    """Return a card as a Markdown page."""
    sections = {
        "Model details": _details(card),
        "Intended use": _intended_use(card),
        "Factors": _factors(card),
        "Metrics": _metrics(card),
        "Evaluation data": _evaluation_data(card),
        "Training data": _training_data(card),
        "Quantitative analyses": _figures(card),
        "Ethical considerations": _ethics(),
        "Caveats and recommendations": (f"- {limit}" for limit in card.limits),
        "Credits": (f"- {credit}" for credit in card.credits or ("none stated",)),
    }
    text = [f"# {card.name} {card.version}", "**Research use only. Not a medical device.**"]
    text += ["\n".join([f"## {title}\n", *lines]) for title, lines in sections.items()]
    made_by = "Made by `cxr model-card` from the card inside the ONNX file, not written by hand."
    return "\n\n".join([*text, made_by]) + "\n"


def _details(card: ModelCard) -> Iterator[str]:
    variant = card.head or card.read_out
    yield f"- Architecture: `{card.architecture}`" + (f", `{variant}`" if variant else "")
    yield f"- Task: {TASKS[card.task]}"
    yield f"- Classes: {', '.join(f'`{name}`' for name in card.class_names)}"
    for group in card.groups:
        members = ", ".join(f"`{name}`" for name in group.class_names)
        yield f"- Group of classes `{group.name}`, the sum of their probabilities: {members}"
    rows, columns = card.image_size
    yield f"- Input: one grey channel, {rows} rows, {columns} columns (`{card.resize_mode}`)"
    grid_rows, grid_columns = card.activation_grid
    yield (
        f"- Explanation: {METHODS[card.method]} at `{card.target_layer}`, "
        f"{grid_rows} x {grid_columns} cells{_cell_centres(card)}"
    )
    yield f"- Weights: {_storage(card)}"
    yield f"- Exported by revision `{card.code_revision}`"
    if card.backprop_report_sha256:
        yield f"- Report on its gradients by hand, SHA-256: `{card.backprop_report_sha256}`"


def _cell_centres(card: ModelCard) -> str:
    if card.cell_centres is None:
        return ""
    (row, column), (down, across) = card.cell_centres.origin, card.cell_centres.step
    return (
        f", the first centred {row:g} rows and {column:g} columns from the upper left, "
        f"the others {down:g} rows and {across:g} columns apart"
    )


def _storage(card: ModelCard) -> str:
    if card.storage is None:
        return "float32"
    return (
        f"the large ones stored as {card.storage.kind}, computed in float32; on val that changes "
        f"the macro AUROC by {card.storage.auroc_difference:+.4f} and leaves an evidence "
        f"correlation of {card.storage.evidence_correlation:.4f}"
    )


def _intended_use(card: ModelCard) -> Iterator[str]:
    yield card.intended_use


def _factors(card: ModelCard) -> Iterator[str]:
    yield (
        "Hospital and scanner, view position, age and sex change how a film looks, and may stand "
        "for a class without being it. The figures below are over all films of a split; "
        "`cxr evaluate --report` breaks them down. A film whose distance from the training films "
        f"is above {card.distance_threshold:.3g} is refused{_novelty_limit(card)}"
        f"{_lung_limits(card)}."
        + (
            " One that leaves more than one class is not decided."
            if card.conformal_quantiles
            else ""
        )
        + (
            f" One whose largest probability is below {card.confidence_threshold:.3f} gets no "
            "decision."
            if card.confidence_threshold is not None
            else ""
        )
    )


def _novelty_limit(card: ModelCard) -> str:
    if card.novelty_threshold is None:
        return ""
    return (
        f", and so is one acquired in a way that training never saw (a novelty above "
        f"{card.novelty_threshold:.3g})"
    )


def _lung_limits(card: ModelCard) -> str:
    if card.lung_limits is None:
        return ""
    (low, high), limits = card.lung_limits.area, card.lung_limits
    return (
        f", and so is one without plausible lungs: they must cover {low:.3g} to {high:.3g} of the "
        f"film, the half with less of them must have at least {limits.balance:.3g} of the other's "
        f"lung area, and at most {limits.stray:.3g} of what looks like lung may lie apart"
    )


def _metrics(card: ModelCard) -> Iterator[str]:
    calibrated = f"Probabilities are calibrated on val (temperature {card.temperature:.3f})."
    yield f"{calibrated} {_rule(card)}\n"
    thresholds = dict(zip(card.question_names, card.question_thresholds, strict=True))
    if card.conformal_quantiles:
        yield "| class | excluded below |"
        yield "| --- | --- |"
        for name, quantile in zip(card.class_names, card.conformal_quantiles, strict=True):
            del thresholds[name]
            yield f"| {name} | {1 - quantile:.3f} |"
        if not thresholds:
            return
        yield "\nA group of classes is called from its threshold on.\n"
    yield "| class | threshold | sensitivity | specificity | chosen as |"
    yield "| --- | --- | --- | --- | --- |"
    for name, threshold in thresholds.items():
        yield (
            f"| {name} | {threshold.value:.3f} | {threshold.sensitivity:.3f} "
            f"| {threshold.specificity:.3f} | {threshold.criterion} |"
        )


def _rule(card: ModelCard) -> str:
    """Return how a film, or each finding on it, is decided."""
    if card.conformal_quantiles:
        return (
            "A class is excluded below a probability that 90 % of the val films of that class "
            "reach, unless it is the most probable one. A film is decided when one class is left."
        )
    if card.task == "multilabel":
        rule = "A class is called present from its threshold on"
    else:
        rule = "The most probable class is called; from its threshold on a class's map is shown"
    return (
        f"{rule}; sensitivity and specificity are those on the films that the threshold was "
        "chosen on, and so optimistic."
    )


def _evaluation_data(card: ModelCard) -> Iterator[str]:
    splits = dict.fromkeys(metric.split for metric in card.metrics)
    if not splits:
        yield "Not evaluated when it was exported."
    for split in splits:
        yield f"The {card.training_data.films[split]} films of the {split} split of the data below."


def _training_data(card: ModelCard) -> Iterator[str]:
    data = card.training_data
    yield f"{data.description}\n"
    yield f"- Films: {', '.join(f'{count} {split}' for split, count in data.films.items())}"
    yield f"- Manifest, SHA-256: `{data.manifest_sha256}`"
    yield f"- Split, SHA-256: `{data.split_sha256}`"


def _figures(card: ModelCard) -> Iterator[str]:
    if not card.metrics:
        yield "None in the card."
        return
    yield "95 % intervals, bootstrapped by group.\n"
    yield "| figure | split | estimate | 95 % interval |"
    yield "| --- | --- | --- | --- |"
    for metric in card.metrics:
        yield _row(metric)


def _row(metric: Metric) -> str:
    name = metric.name.replace("_", " ") + (f", {metric.class_name}" if metric.class_name else "")
    interval = f"{metric.low:.3f} to {metric.high:.3f}"
    return f"| {name} | {metric.split} | {metric.estimate:.3f} | {interval} |"


def _ethics() -> Iterator[str]:
    yield (
        "The films are of patients, and others published them. Nobody has shown that anyone is "
        "better off for these answers, and a wrong one may harm: do not decide on a patient's care "
        "by them. A heat map says what argued inside the network, not where a disease is."
    )
