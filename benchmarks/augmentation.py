"""Measure what each change of the training films is worth on films of origins never seen.

    python benchmarks/augmentation.py training/configs/vit_b16.toml --weights FILE \
        --mean R G B --std R G B --few 130 -o docs/results/augmentation_vit_b16.json

CONFIG fits a head to frozen features (`[training.linear_probe]`), so that nothing but the changed
films differs between rows, and no chance of a training. The first row is the recipe's own table
`[augmentation]`; each further one differs from it in one thing, or is weaker or stronger in all.
Films are small, as for `cxr leave-out --fast`, and of each film there is one changed copy. What was
computed before is found in the folder.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ablation import Ablation, compared, few_films, merged
from tqdm import tqdm

from training.commands.train import add_start_arguments, with_arguments
from training.config import AugmentationConfig, Config, read_config
from training.evaluation.leave_out import fast, left_out_scores
from training.evaluation.leave_out_films import OriginFilms
from training.fitting.start import checked_films

ROWS: Mapping[str, Mapping[str, Any]] = {
    "as in the recipe": {},
    "none": AugmentationConfig.off(smallest_size=0.25).model_dump(),
    "no turning, shifting, zooming": {"rotation": 0, "shift": 0, "zoom": 0},
    "no gamma, contrast, brightness": {"gamma": 0, "contrast": 0, "brightness": 0},
    "no blur, no lower resolution": {"blur": 0, "downsampling": 0},
    "no JPEG": {"jpeg": 0},
    "no outline widened or narrowed": {"outline": 0},
    "outline changed by up to 0.04": {"outline": 0.04},
    "tone curve on half": {"tone_curve": 0.5},
    "CLAHE on a third": {"clahe": 0.3},
    "sharpened, a third": {"sharpness": 0.3},
    "noise on a third": {"noise": 0.3},
    "shading on half": {"shading": 0.5},
    "letters on a third": {"letters": 0.3},
    "corners covered, a third": {"corner_masking": 0.3},
    "opacities on a third": {"opacities": 0.3},
    "drawn out in one direction": {"stretch": 0.1},
    "mirrored, half": {"mirror": 0.5},
    "weaker": {
        "rotation": 10.0,
        "zoom": 0.15,
        "gamma": 0.5,
        "contrast": 0.4,
        "blur": 0.3,
        "downsampling": 0.5,
        "smallest_size": 0.4,
        "jpeg": 0.4,
    },
    "stronger": {
        "rotation": 20.0,
        "zoom": 0.35,
        "gamma": 1.4,
        "contrast": 0.8,
        "brightness": 0.2,
        "blur": 0.9,
        "smallest_size": 0.15,
        "jpeg": 0.9,
    },
}
"""What is changed in the recipe's table. Grey levels and styles of other films are not among them:
they would be those of the origin left out."""


def recipes_of(config: Config) -> dict[str, Config]:
    """Return the recipe of each row, small and with one changed copy of each film."""
    once = {"training": {"unfreeze": {"feature_cache": {"copies": 1}}}}
    fields = merged(config.model_dump(), once)
    return {
        name: fast(Config.model_validate(merged(fields, {"augmentation": changes})))
        for name, changes in ROWS.items()
    }


def measured(config: Config, folder: Path, device: str) -> Ablation:
    """Return the figures of each row, and its differences from the first."""
    films = OriginFilms.of(config.data, checked_films(config), compared=True)
    scores = {
        name: left_out_scores(recipe, films, folder, seeds=1, device=device).scores
        for name, recipe in tqdm(recipes_of(config).items(), "rows")
    }
    return compared(scores, fast(config), films)


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_start_arguments(parser)
    parser.add_argument("--few", type=int, help="most films of each class, source and split")
    parser.add_argument("--folder", type=Path, default=Path("artifacts/augmentation"))
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    config = with_arguments(read_config(options.config), options)
    if not config.training.linear_probe:
        parser.error("config must have [training.linear_probe]")
    if options.few:
        chosen = few_films(config.data.manifest, options.folder, options.few)
        config = Config.model_validate(merged(config.model_dump(), {"data": {"manifest": chosen}}))
    result = measured(config, options.folder, options.device)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(result.model_dump_json(indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
