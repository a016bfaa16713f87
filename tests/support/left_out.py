"""A result of `cxr leave-out` that nobody measured."""

from models.card import Metric
from training.evaluation.leave_out_result import (
    LeaveOutRecipe,
    LeaveOutResult,
    LeftOutSets,
    OriginMean,
    OriginPair,
    RecipeDifference,
    WithinOrigin,
)


def figure(estimate: float, class_name: str | None = None) -> Metric:
    return Metric(
        name="auroc", split="train", class_name=class_name, estimate=estimate, low=0.1, high=0.9
    )


def within(origin: str, reason: str = "") -> WithinOrigin:
    pair = OriginPair(
        positive="effusion", negative="normal", films=(9, 30), auroc=None, reason="few"
    )
    known = pair.model_copy(update={"positive": "pneumonia", "auroc": figure(0.63), "reason": ""})
    return WithinOrigin(
        origin=origin,
        films={"normal": 40, "pneumonia": 20},
        pairs=() if reason else (pair, known),
        pair_auroc=None if reason else figure(0.63),
        normal_auroc=None if reason else figure(0.64),
        reason=reason,
    )


PAIR = figure(0.65).model_copy(update={"name": "pair_auroc"})
LEFT_OUT = LeaveOutResult(
    recipes=(
        LeaveOutRecipe(
            name="plain <fine-tuning>",
            kept_classes=("normal", "pneumonia"),
            dropped_classes={"effusion": "one origin only"},
            aurocs=(figure(0.61, "normal"), figure(0.62, "pneumonia")),
            macro_auroc=figure(0.615),
            films_by_origin={"clinic": 60, "hospital": 30},
            constant_aurocs=(figure(0.71, "normal"), figure(0.72, "pneumonia")),
            constant_macro_auroc=figure(0.715),
            within=(within("clinic"), within("hospital"), within("web", "one class")),
            means=(OriginMean(origins=("clinic", "hospital"), auroc=PAIR, by_seed=(0.66, 0.64)),),
            sets=(
                LeftOutSets(
                    origins=("clinic", "hospital"),
                    films=90,
                    never_trained={"effusion": 9},
                    figures=(figure(0.83).model_copy(update={"name": "set_coverage"}),),
                ),
            ),
            seeds=(0, 1),
            epochs=8,
            image_size=(128, 128),
        ),
    ),
    differences=(
        RecipeDifference(
            first="plain <fine-tuning>",
            second="other",
            origins=("clinic", "hospital"),
            difference=PAIR.model_copy(update={"estimate": -0.05}),
            by_seed=(-0.04, -0.06),
        ),
    ),
)
