"""Measure at which layer a pretrained network tells most about films of origins it never saw.

    python benchmarks/read_layers.py training/configs/vit_b16.toml --weights FILE \
        --augmentation training/configs/chest_cnn.toml -o docs/results/read_layers_vit.json

The network is frozen. What each layer answers is averaged inside the lungs, and a logistic
regression on it is fitted without each origin in turn, with one penalty for all layers. Films are
small, as for `cxr leave-out --fast`. With `--augmentation` the regression also learns from copies
that are changed as that config says. The first row is the last layer, of films as they are.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import torch
from ablation import Ablation, compared, few_films, merged
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from models.architectures import seen_size
from models.card import Grid
from models.lungs.cells import LungCells, position_weights
from models.network import Masked
from models.vgg16 import VGG16
from models.vit_b16 import ViTB16
from training.commands.train import add_start_arguments, with_arguments
from training.config import Config, read_config
from training.data.dataset import FilmDataset
from training.evaluation.leave_out import fast
from training.evaluation.leave_out_figures import SeedScores
from training.evaluation.leave_out_films import OriginFilms
from training.fitting.start import checked_films, datasets, starting_network

WHOLE = {"vgg16": {"read_layer": "conv5_3"}, "vit_b16": {"read_out": "average", "blocks": None}}
"""What each network must be, so that all its layers are there, and none is masked."""
FIRST = {"vgg16": 5, "vit_b16": 5}
"""The earliest convolution, or block, that is asked."""
STRENGTH = 1e-3
"""Of the logistic regression: scikit-learn's C, the inverse of the penalty, for each film."""
BATCH = 16
Features = dict[str, np.ndarray]


def layers(network: VGG16 | ViTB16, seen: Masked) -> Iterator[tuple[str, Masked]]:
    """Yield the name and output of each layer that is asked, on its grid of positions."""
    x, number = seen.values, 0
    if isinstance(network, VGG16):
        for layer in network.trunk:
            x = layer(x)
            number += isinstance(layer, nn.ReLU)
            if isinstance(layer, nn.ReLU) and number >= FIRST["vgg16"]:
                yield f"convolution {number}", Masked(x, seen.lungs)
        return
    x = network.embed(x)
    for number, block in enumerate(network.blocks, start=1):
        x = block(x)
        if number >= FIRST["vit_b16"]:
            yield f"block {number}", Masked(network.on_grid(x), seen.lungs)


def mean_inside(x: Masked, seen: Grid) -> Tensor:
    """Return the mean of a layer's output over positions inside the lungs, [films, channels]."""
    cells = LungCells(seen, (x.values.shape[2], x.values.shape[3]))
    return (x.values.float() * position_weights(cells(x.lungs))).mean(dim=(2, 3))


@torch.inference_mode()
def features(network: VGG16 | ViTB16, films: FilmDataset, copies: int, seen: Grid) -> Features:
    """Return what each layer tells of each film, and of each film's copies after the first."""
    found: dict[str, list[Tensor]] = {}
    asked = Subset(films, range(copies * len(films)))
    for pixels, _ in tqdm(DataLoader(asked, batch_size=BATCH), "features", unit="batch"):
        window = network.normalise(pixels)
        with torch.autocast("cpu", torch.bfloat16):
            for name, x in layers(network, window):
                found.setdefault(name, []).append(mean_inside(x, seen))
    return {name: torch.cat(parts).numpy() for name, parts in found.items()}


def left_out_scores(
    plain: np.ndarray, copies: np.ndarray | None, classes: np.ndarray, films: OriginFilms
) -> SeedScores:
    """Return each origin's probabilities by a regression on the other origins' films."""
    scores = np.full((1, len(classes), len(films.class_names)), np.nan)
    shown = plain if copies is None else np.concatenate([plain, copies])
    each = len(shown) // len(plain)
    for origin in films.left_out:
        out = films.rows(origin)
        learnt = np.tile(~out, each)
        fit = make_pipeline(
            StandardScaler(),
            LogisticRegression(C=STRENGTH / each, class_weight="balanced", max_iter=500),
        ).fit(shown[learnt], np.tile(classes, each)[learnt])
        rows = np.flatnonzero(out)
        scores[0, rows[:, None], fit.classes_] = fit.predict_proba(plain[rows])
    return scores


def measured(config: Config, augmentation: Config | None, copies: int) -> Ablation:
    """Return the figures of each layer, of films as they are and with changed copies."""
    read = checked_films(config)
    films = OriginFilms.of(config.data, read, compared=True)
    decoded, _, names = datasets(config, read)
    built, spec = starting_network(config, decoded, names)
    network = cast(VGG16 | ViTB16, built.eval())
    still = FilmDataset(decoded.pixels, decoded.targets, lungs=decoded.lungs)
    plain = features(network, still, 1, seen_size(spec))
    changed: Features = {}
    if augmentation:
        config = Config.model_validate(
            merged(config.model_dump(), {"augmentation": augmentation.augmentation.model_dump()})
        )
        moved, _, _ = datasets(config, read)
        changed = features(network, moved, copies, seen_size(spec))
    classes = np.array(decoded.targets)
    scores = {
        name: left_out_scores(plain[name], None, classes, films) for name in reversed(plain)
    } | {
        f"{name}, and changed copies": left_out_scores(plain[name], own, classes, films)
        for name, own in reversed(changed.items())
    }
    return compared(scores, config, films)


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_start_arguments(parser)
    parser.add_argument("--augmentation", type=Path, help="config that says how copies are changed")
    parser.add_argument("--copies", type=int, default=1, help="changed copies of each film")
    parser.add_argument("--few", type=int, help="most films of each class, source and split")
    parser.add_argument("--folder", type=Path, default=Path("artifacts/read_layers"))
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    config = with_arguments(read_config(options.config), options)
    if config.network.architecture not in WHOLE or not config.network.lungs:
        parser.error(f"config must be of {' or '.join(WHOLE)}, with [network.lungs]")
    fields = config.model_dump()
    if options.few:
        chosen = few_films(config.data.manifest, options.folder, options.few)
        fields = merged(fields, {"data": {"manifest": chosen}})
    whole = merged(fields, {"network": WHOLE[config.network.architecture]})
    augmentation = read_config(options.augmentation) if options.augmentation else None
    result = measured(fast(Config.model_validate(whole)), augmentation, options.copies)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(result.model_dump_json(indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
