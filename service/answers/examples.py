"""Example answers for the documentation, shortened to one class and a grid of 2 x 2."""

import json

from pydantic.config import JsonDict
from pydantic.types import JsonValue

CHEST_CNN = "09bd93bbd1068057b75096079e05fca57926d024c164b264cac0d1d597a821f9"
VGG16 = "968ac18f4a070e39c2287061fe2b6f218a14dc77cd3c6e512224d1be78143bf4"
FINDING: JsonDict = {
    "class_name": "pneumonia",
    "logit": 1.3,
    "probability": 0.81,
    "threshold": 0.08,
    "excluded_below": 0.05,
    "decision": True,
}
EXPLANATION: JsonDict = {
    "status": "ok",
    "method": "grad_cam",
    "target_layer": "inside",
    "evidence": [[0.0, -0.02], [0.08, 0.04]],
    "affine": [773.2, 0.0, -235.8, 0.0, 821.1, -250.5],
    "extent": [147.3, 156.4, 1693.7, 1798.6],
    "inside_lungs": None,
}
GROUP: JsonDict = {
    "name": "abnormal",
    "class_names": ["pneumonia", "tuberculosis"],
    "log_odds": 1.9,
    "probability": 0.87,
    "threshold": 0.61,
    "decision": True,
    "evidence_scale": 0.12,
}
EXPLAINED_FINDING: JsonDict = FINDING | {"explanation": EXPLANATION}
PREDICTION: JsonDict = {
    "model": {
        "name": "chest_cnn",
        "version": "3.0.0",
        "sha256": CHEST_CNN,
        "evidence_scale": 0.0878,
    },
    "film": {"rows": 1955, "columns": 1841, "format": "dicom"},
    "mask": None,
    "distance": 12.1,
    "distance_threshold": 20.3,
    "novelty": 3.6,
    "novelty_threshold": 5.4,
    "in_distribution": True,
    "refusals": [],
    "confidence_threshold": 0.366,
    "is_confident": True,
    "is_decided": True,
    "prediction_set": ["pneumonia"],
    "predicted_class": "pneumonia",
    "most_probable_class": "pneumonia",
    "findings": [FINDING],
    "groups": [],
}
REFUSED: JsonDict = {
    "distance": 31.4,
    "in_distribution": False,
    "refusals": ["distance"],
    "is_decided": False,
    "predicted_class": None,
}
UNDECIDED: JsonDict = FINDING | {"decision": None}
REFUSED_PREDICTION: JsonDict = PREDICTION | REFUSED | {"findings": [UNDECIDED]}
MASKED_PREDICTION: JsonDict = PREDICTION | {"mask": [310, 420, 690, 900]}
EXPLAINED_PREDICTION: JsonDict = PREDICTION | {
    "findings": [EXPLAINED_FINDING],
    "faithfulness": None,
    "lung_outline": None,
}
FORCED_PREDICTION: JsonDict = (
    EXPLAINED_PREDICTION
    | REFUSED
    | {
        "findings": [
            UNDECIDED | {"explanation": EXPLANATION | {"status": "out_of_distribution_forced"}}
        ]
    }
)
TESTED_PREDICTION: JsonDict = EXPLAINED_PREDICTION | {
    "faithfulness": {
        "class_name": "pneumonia",
        "verdict": "faithful",
        "sentence": "Masking the tenth of the film that argues most for pneumonia lowers its "
        "probability from 0.81 to 0.33; masking another tenth: 0.78 (mean of 24).",
        "probability": 0.81,
        "probability_masked": 0.33,
        "probability_elsewhere": 0.78,
        "gap": 0.45,
        "random_masks": 24,
    }
}
OUTLINED_PREDICTION: JsonDict = EXPLAINED_PREDICTION | {
    "findings": [FINDING | {"explanation": EXPLANATION | {"inside_lungs": 0.87}}],
    "groups": [GROUP | {"explanation": EXPLANATION | {"inside_lungs": 0.9}}],
    "lung_outline": [
        [[512.3, 344.9], [790.4, 420.1], [803.6, 1402.7], [301.2, 1511.0]],
        [[1098.5, 402.2], [1330.8, 351.6], [1571.9, 1488.3], [1142.0, 1377.5]],
    ],
}
OTHER_MODEL: JsonDict = {
    "model": {"name": "vgg16", "version": "2.0.0", "sha256": VGG16, "evidence_scale": 0.0188}
}
COMPARISON: JsonDict = {"models": [PREDICTION, PREDICTION | OTHER_MODEL]}
EXPLAINED_COMPARISON: JsonDict = {
    "models": [EXPLAINED_PREDICTION, EXPLAINED_PREDICTION | OTHER_MODEL],
    "agreement": [
        {
            "models": ["chest_cnn", "vgg16"],
            "class_name": "pneumonia",
            "rank_correlation": 0.71,
            "top_tenth_overlap": 0.46,
        }
    ],
}
FILM_PIXELS: JsonDict = {
    "rows": 1955,
    "columns": 1841,
    "format": "dicom",
    "slope": 1.0,
    "intercept": 0.0,
    "spacing": [0.168, 0.168],
    "windows": [{"name": "NORMAL", "centre": 15000.0, "width": 30000.0}],
    "low": 874.0,
    "high": 26479.0,
}
PROBLEM: JsonDict = {
    "type": "urn:problem-type:chest-xray-explainer:unreadable-film",
    "title": "Unreadable film",
    "status": 422,
    "detail": "The file is truncated.",
}
BATCH = "".join(
    json.dumps({"index": index, "status": status, key: value}) + "\n"
    for index, (status, key, value) in enumerate(
        [(200, "answer", PREDICTION), (422, "problem", PROBLEM)]
    )
)
"""Two lines."""

MODEL_LIST: JsonDict = {
    "models": [
        {
            "name": "chest_cnn",
            "version": "3.0.0",
            "sha256": CHEST_CNN,
            "architecture": "chest_cnn",
            "class_names": ["normal", "pneumonia"],
            "is_default": True,
            "provider": "cpu",
            "is_loaded": True,
        }
    ],
    "ensemble": None,
}
HISTOGRAM: JsonDict = {"edges": [0.0, 0.5, 1.0], "counts": [340, 98]}
THRESHOLD: JsonDict = {
    "value": 0.27,
    "sensitivity": 0.885,
    "specificity": 0.912,
    "criterion": "largest Youden index on val",
}
FIGURE: JsonDict = {"estimate": 0.3, "low": 0.25, "high": 0.35}
LIKENESS: JsonDict = {
    "rank_correlation": FIGURE,
    "similarity": FIGURE,
    "films": 100,
    "seeds": 10,
}
MODEL_DESCRIPTION: JsonDict = {
    "sha256": CHEST_CNN,
    "trust": {
        "verdict": ["The map depends on the head: with it random, rank correlation 0.30 ..."],
        "figures": {
            "schema_version": 1,
            "name": "chest_cnn",
            "version": "3.0.0",
            "sha256": CHEST_CNN,
            "code_revision": "d9ff18237482",
            "packages": {"onnxruntime": "1.32.0"},
            "manifest_sha256": "eb0161caf0650266eee141e0d03835b4e39b27204bb518cd830dd0b69babb47b",
            "split": "val",
            "films": 100,
            "groups": 97,
            "floor": LIKENESS | {"what": "two unrelated films"},
            "head": LIKENESS | {"what": "head"},
            "last_block": LIKENESS | {"what": "last block"},
            "noise": LIKENESS | {"what": "noise"},
            "shift": LIKENESS | {"what": "shift"},
        },
    },
    "card": {
        "schema_version": 2,
        "name": "chest_cnn",
        "version": "3.0.0",
        "architecture": "chest_cnn",
        "class_names": ["normal", "pneumonia"],
        "task": "multiclass",
        "image_size": [240, 240],
        "resize_mode": "stretch",
        "crop_pct": 1.0,
        "local_contrast": 0.12,
        "target_layer": "inside",
        "activation_grid": [2, 2],
        "mean": 0.5,
        "std": 0.2,
        "temperature": 0.76,
        "decision_thresholds": [THRESHOLD, THRESHOLD],
        "evidence_scale": 0.0878,
        "distance_threshold": 20.3,
        "novelty_threshold": 5.4,
        "conformal_quantiles": [0.51, 0.95],
        "cell_centres": {"origin": [40.0, 40.0], "step": [80.0, 80.0]},
        "golden": {
            "pixels_png": "iVBORw0KGgo...",
            "logits": [-0.7, 0.7],
            "probabilities": [0.19, 0.81],
            "distance": 12.1,
            "novelty": 3.6,
            "evidence": [[[0.0, 0.02], [-0.08, -0.04]], [[0.0, -0.02], [0.08, 0.04]]],
        },
        "score_histograms": [HISTOGRAM, HISTOGRAM],
        "distance_histogram": {"edges": [0.0, 10.0, 20.0], "counts": [120, 309]},
        "novelty_histogram": {"edges": [0.0, 1.5, 3.0], "counts": [280, 149]},
        "training_data": {
            "manifest_sha256": "eb0161caf0650266eee141e0d03835b4e39b27204bb518cd830dd0b69babb47b",
            "split_sha256": "e89f390d4eb757946b9f2d3be5763627859250ec220556e90a32d465e08decef",
            "films": {"train": 3628, "val": 498, "test": 816},
            "description": "Chest X-ray classification set, collected from public repositories.",
        },
        "intended_use": "Research and teaching. Not a medical device.",
        "limits": ["Frontal films only."],
        "code_revision": "d9ff18237482",
    },
}
COLOUR_MAP: JsonDict = {
    "name": "inferno",
    "source": "matplotlib, CC0",
    "kind": "sequential",
    "rgb": [[0, 0, 4], [252, 255, 164]],
}
SIGNED_COLOUR_MAP: JsonDict = {
    "name": "managua_r",
    "source": "Fabio Crameri's Scientific colour maps, MIT",
    "kind": "diverging",
    "rgb": [[129, 231, 255], [81, 35, 60], [255, 207, 103]],
}
AUDIT_PAGE: JsonDict = {
    "rows": [
        {
            "id": 1041,
            "time": "2026-03-02T09:15:04.512000Z",
            "request_id": "8d3c1f6e0b7a4c55a2f7d1f0c9e64b12",
            "key_id": "ward-3",
            "verb": "explain",
            "model": "chest_cnn",
            "version": "3.0.0",
            "model_sha256": CHEST_CNN,
            "film_sha256": "5f4768f831ada93990db37768957eba18135bbff923b1f038ed95f8840e4be91",
            "mask": None,
            "probabilities": {"normal": 0.19, "pneumonia": 0.81},
            "decisions": {"normal": False, "pneumonia": True},
            "is_decided": True,
            "predicted_class": "pneumonia",
            "prediction_set": ["pneumonia"],
            "in_distribution": True,
            "refusals": [],
            "map_statuses": {"normal": "below_threshold", "pneumonia": "ok"},
            "distance": 12.1,
            "novelty": 3.6,
            "status": "ok",
        }
    ],
    "next": 1041,
}

SCALES: JsonDict = {
    "evidence_scale": 0.0878,
    "distance_threshold": 20.3,
    "novelty_threshold": 5.4,
}
SERVER_METADATA: JsonDict = {
    "name": "chest-xray-explainer",
    "version": "0.1.0",
    "extensions": ["binary_tensor_data"],
}
MODEL_METADATA: JsonDict = {
    "name": "chest_cnn",
    "versions": ["3.0.0"],
    "platform": "onnxruntime_onnx",
    "inputs": [
        {"name": "pixels", "datatype": "FP32", "shape": [-1, 1, 240, 240]},
        {"name": "film", "datatype": "BYTES", "shape": [-1]},
    ],
    "outputs": [
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "evidence", "datatype": "FP32", "shape": [-1, 2, 2, 2]},
        {"name": "distance", "datatype": "FP32", "shape": [-1]},
        {"name": "novelty", "datatype": "FP32", "shape": [-1]},
        {"name": "in_distribution", "datatype": "BOOL", "shape": [-1]},
        {"name": "refusals", "datatype": "BOOL", "shape": [-1, 3]},
        {"name": "is_decided", "datatype": "BOOL", "shape": [-1]},
        {"name": "predicted_class", "datatype": "BOOL", "shape": [-1, 2]},
        {"name": "map_status", "datatype": "BOOL", "shape": [-1, 2, 5]},
        {"name": "prediction_set", "datatype": "BOOL", "shape": [-1, 2]},
    ],
    "parameters": SCALES
    | {
        "class_names": '["normal", "pneumonia"]',
        "conformal_quantiles": "[0.51, 0.95]",
        "decision_thresholds": "[0.385, 0.084]",
        "map_statuses": '["ok", "no_positive_evidence", "below_threshold", "out_of_distribution", '
        '"out_of_distribution_forced"]',
        "refusals": '["lungs", "distance", "novelty"]',
        "sha256": CHEST_CNN,
    },
}
INFERENCE_REQUEST: JsonDict = {
    "id": "42",
    "inputs": [{"name": "film", "datatype": "BYTES", "shape": [1], "data": ["iVBORw0KGgo="]}],
    "outputs": [
        {"name": "probabilities"},
        {"name": "in_distribution"},
        {"name": "refusals"},
        {"name": "is_decided"},
        {"name": "predicted_class"},
        {"name": "prediction_set"},
    ],
}
INFERENCE_RESPONSE: JsonDict = {
    "model_name": "chest_cnn",
    "model_version": "3.0.0",
    "id": "42",
    "parameters": SCALES,
    "outputs": [
        {"name": "probabilities", "shape": [1, 2], "datatype": "FP32", "data": [0.19, 0.81]},
        {"name": "in_distribution", "shape": [1], "datatype": "BOOL", "data": [True]},
        {"name": "refusals", "shape": [1, 3], "datatype": "BOOL", "data": [False, False, False]},
        {"name": "is_decided", "shape": [1], "datatype": "BOOL", "data": [True]},
        {"name": "predicted_class", "shape": [1, 2], "datatype": "BOOL", "data": [False, True]},
        {"name": "prediction_set", "shape": [1, 2], "datatype": "BOOL", "data": [False, True]},
    ],
}


def shown(*examples: JsonValue) -> JsonDict:
    """Return the entry of a JSON schema that holds its examples."""
    return {"examples": list(examples)}
