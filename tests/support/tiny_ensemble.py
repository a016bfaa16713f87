"""Two tiny models with groups that answer together, and the file beside them that says how."""

import hashlib
from pathlib import Path

from models.card import ClassGroup, DecisionThreshold, Histogram
from tests.support.tiny_groups import GROUPS, write_group_model
from tests.support.tiny_model import CLASS_NAMES
from xai.ensemble import FILE_NAME
from xai.ensemble_card import EnsembleCard, Member

NAMES = ("one", "other")
TEMPERATURE = 0.5
POINT = DecisionThreshold(value=0.3, sensitivity=1, specificity=1)


def write_ensemble(folder: Path, names: tuple[str, ...] = NAMES) -> Path:
    """Write a tiny model for each name and `ensemble.json`; return its path."""
    hashes = {
        name: hashlib.sha256(write_group_model(folder, name=name).read_bytes()) for name in names
    }
    groups = [
        ClassGroup(name=name, class_names=members, threshold=POINT, evidence_scale=1)
        for name, members in GROUPS.items()
    ]
    card = EnsembleCard(
        version="3.0.0",
        members=[
            Member(name=name, version="1.2.3", sha256=digest.hexdigest())
            for name, digest in hashes.items()
        ],
        temperature=TEMPERATURE,
        decision_thresholds=[POINT] * len(CLASS_NAMES),
        conformal_quantiles=[0.7] * len(CLASS_NAMES),
        groups=groups,
        score_histograms=[Histogram(edges=(0, 1), counts=(1,))] * len(CLASS_NAMES),
    )
    file = folder / FILE_NAME
    file.write_text(card.model_dump_json())
    return file
