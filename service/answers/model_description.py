"""Describe a model, its card and the figures measured of its maps, and the models' ensemble."""

import logging

from service.answers.schemas import EnsembleSummary, ModelDescription, TrustDescription
from xai.ensemble import Ensemble
from xai.explainer import Explainer
from xai.measures.trust import read_trust

log = logging.getLogger(__name__)


def description(explainer: Explainer) -> ModelDescription:
    """Return a model's card and figures, without figures that were measured of another file."""
    return ModelDescription(
        sha256=explainer.sha256, card=explainer.card, trust=_trust_description(explainer)
    )


def summary(ensemble: Ensemble) -> EnsembleSummary:
    """Return an ensemble's name, members and what they were measured by together."""
    return EnsembleSummary(
        name=ensemble.card.name,
        sha256=ensemble.sha256,
        class_names=ensemble.card.class_names,
        **dict(ensemble.own),
    )


def _trust_description(explainer: Explainer) -> TrustDescription | None:
    try:
        trust = read_trust(explainer.file, explainer.sha256)
    except (ValueError, OSError) as error:
        log.error("model %s has no figures on its maps: %s", explainer.card.name, error)
        return None
    if trust is None:
        return None
    return TrustDescription(verdict=tuple(trust.verdict()), figures=trust)
