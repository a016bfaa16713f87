"""Routes about models: `/v1/models`, their cards, a reload, and the colour maps."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query

from service.answers.model_description import description, summary
from service.answers.schemas import (
    ColourMap,
    ColourMapList,
    ModelDescription,
    ModelList,
    ModelSummary,
)
from service.api.dependencies import JSON_ONLY, OpenEngine
from service.problems import NotReady, ReloadRefused, UnknownModel, openapi_problems
from xai.heatmap import ColourMapName
from xai.heatmap import colour_map as colour_map_file

router = APIRouter(**JSON_ONLY)
admin_router = APIRouter(**JSON_ONLY)
"""Routes that need an admin's key."""


@router.get("/v1/models", tags=["models"], responses=openapi_problems(NotReady))
async def models(engine: OpenEngine) -> ModelList:
    """List the models that can be asked with `?model=`, and their ensemble if there is one."""
    ensemble = engine.registry.ensemble()
    return ModelList(
        models=[
            ModelSummary(
                name=name,
                version=explainer.card.version,
                sha256=explainer.sha256,
                architecture=explainer.card.architecture,
                class_names=explainer.card.class_names,
                is_default=name == engine.registry.default_model,
                provider=explainer.provider,
                is_loaded=explainer.is_loaded,
                is_sound=not explainer.fault,
            )
            for name, explainer in engine.registry.explainers.items()
        ],
        ensemble=summary(ensemble) if ensemble else None,
    )


@router.get(
    "/v1/models/{name}", tags=["models"], responses=openapi_problems(UnknownModel, NotReady)
)
async def model(name: str, engine: OpenEngine) -> ModelDescription:
    """Give a model's card: its intended use, its limits, and how good it is."""
    return await asyncio.to_thread(description, engine.registry.explainer(name))


@admin_router.post(
    "/v1/models/{name}/reload",
    tags=["models"],
    responses=openapi_problems(UnknownModel, ReloadRefused, NotReady),
)
async def reload(name: str, engine: OpenEngine) -> ModelDescription:
    """Load a model's file again, if it changed; requests that have begun end with the old model.

    A model that failed its checks is tried again, whether its file changed or not.
    """
    explainer = await engine.reload(name)
    return await asyncio.to_thread(description, explainer)


@router.get("/v1/colour-map", tags=["models"])
async def colour_map(
    name: Annotated[
        ColourMapName, Query(description="If left out, the one of the overlays as PNG.")
    ] = ColourMapName.INFERNO,
) -> ColourMap:
    """Give the colours of a colour map."""
    return ColourMap.model_validate(colour_map_file(name))


@router.get("/v1/colour-maps", tags=["models"])
async def colour_maps() -> ColourMapList:
    """Give all colour maps with their colours, the one of the overlays as PNG first."""
    return ColourMapList(colour_maps=[await colour_map(name) for name in ColourMapName])
