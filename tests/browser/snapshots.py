"""Make snapshots of the page, and the pictures and reports that the page makes of them."""

import base64
from typing import Any

from playwright.sync_api import Page

from models.card import Metric
from service.answers.schemas import ExplainedPrediction
from tests.support.tiny_model import CLASS_NAMES, card

Json = dict[str, Any]

# The canvases are grey with a white square in the upper right quarter.
MAKE = """
async ([module, name, snapshot, sizes]) => {
  const canvases = Object.entries(sizes).map(([key, [width, height]]) => {
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const context = canvas.getContext("2d");
    context.fillStyle = "rgb(128 128 128)";
    context.fillRect(0, 0, width, height);
    context.fillStyle = "white";
    context.fillRect(0.6 * width, 0.1 * height, 0.3 * width, 0.3 * height);
    return [key, canvas];
  });
  const colours = Array.from({ length: 256 }, (_, level) => [level, 0, 255 - level]);
  const { answer } = snapshot;
  const blob = await (await import(module))[name]({
    ...snapshot,
    ...Object.fromEntries(canvases),
    finding: answer.findings.find((one) => one.class_name === snapshot.shown),
    look: { ...snapshot.look, colours },
    date: new Date(snapshot.date),
  });
  const bytes = new Uint8Array(await blob.arrayBuffer());
  return [blob.type, btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))];
}
"""

LOOK: Json = {
    "mapShown": True,
    "opacity": 0.5,
    "threshold": 0.1,
    "colourMap": "inferno",
    "signed": False,
    "raw": False,
    "outline": None,
    "lungs": False,
}


def finding(name: str, *, decision: bool | None = False, **changes: Any) -> Json:
    """Return a finding whose strongest position is the last of the upper row."""
    fields: Json = {"class_name": name, "logit": 0.0, "probability": 0.087, "threshold": 0.9}
    explanation = {
        "status": "ok" if decision else "below_threshold",
        "method": "grad_cam",
        "target_layer": "stages.3",
        "evidence": [[0.0, 0.1, 0.2, 0.9], [0.0, -0.1, -0.2, -0.3]],
        "affine": [150.0, 0.0, 0.0, 0.0, 400.0, 0.0],
        "extent": [0.0, 0.0, 600.0, 800.0],
    }
    return fields | {"decision": decision, "explanation": explanation} | changes


def answer(class_names: tuple[str, ...] = CLASS_NAMES, **changes: Any) -> Json:
    """Return an answer that calls the second class, as the server would send it."""
    findings = [finding(name) for name in class_names]
    findings[1] = finding(class_names[1], probability=0.873, threshold=0.1, decision=True)
    fields: Json = {
        "model": {"name": "tiny", "version": "1.2.3", "sha256": "0a" * 32, "evidence_scale": 1.2},
        "film": {"rows": 800, "columns": 600, "format": "dicom"},
        "distance": 4.2,
        "distance_threshold": 8.0,
        "in_distribution": True,
        "refusals": [],
        "confidence_threshold": 0.4,
        "is_confident": True,
        "is_decided": True,
        "prediction_set": None,
        "predicted_class": class_names[1],
        "most_probable_class": class_names[1],
        "findings": findings,
    }
    return ExplainedPrediction.model_validate(fields | changes).model_dump(mode="json")


def refused_answer() -> Json:
    """Return an answer about a film unlike the training films."""
    undecided = {"is_decided": False, "predicted_class": None}
    refused = answer(in_distribution=False, refusals=["distance"], distance=9.5, **undecided)
    for one in refused["findings"]:
        one["decision"] = None
        one["explanation"] |= {"status": "out_of_distribution", "evidence": None}
    return refused


def undecided_answer() -> Json:
    """Return an answer of a model with prediction sets, to which two classes are left."""
    left = list(CLASS_NAMES[:2])
    found = answer(is_decided=False, prediction_set=left)
    for one in found["findings"]:
        excluded = one["class_name"] not in left
        one |= {"decision": None, "excluded_below": 0.31}
        one["explanation"]["status"] = "below_threshold" if excluded else "ok"
    return found


def described(**changes: Any) -> Json:
    """Return the model's card with a figure for each class, as the server would send it."""
    aurocs = tuple(
        Metric(name="auroc", split="test", class_name=name, estimate=0.951, low=0.925, high=0.972)
        for name in CLASS_NAMES
    )
    return card(metrics=aurocs, **changes).model_dump(mode="json")


def snapshot(**changes: Any) -> Json:
    """Return a snapshot without its canvases."""
    fields: Json = {
        "answer": answer(),
        "shown": "pneumonia",
        "card": described(),
        "filmName": None,
        "look": LOOK,
        "window": {"centre": 2048, "width": 4096},
        "date": "2026-11-28T22:40:00Z",
    }
    return fields | changes


def kept(
    page: Page,
    function: str,
    *,
    plain: tuple[int, int] = (600, 800),
    mapped: tuple[int, int] = (900, 600),
    **changes: Any,
) -> bytes:
    """Return the file that a function (`report` or `captionedPicture`) makes of a snapshot."""
    module = {"report": "/keeping/report.js", "captionedPicture": "/keeping/picture_export.js"}[
        function
    ]
    sizes = {"plain": plain, "mapped": mapped}
    _, file = page.evaluate(MAKE, [module, function, snapshot(**changes), sizes])
    return base64.b64decode(file)
