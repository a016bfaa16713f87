"""Measure which images are refused for their lungs alone, and write docs/evaluation.md's table.

python docs/scripts/write_lung_refusals.py ../shared/data        # some minutes

Limits are chosen on all val films, as `cxr export` does; no classifier takes part.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from docs.scripts.insert_results import head, row
from models.card import LungLimits, LungSpec
from models.checkpoint import lung_field
from models.film_files.errors import RadiographError
from models.lungs.window import LungWindow
from models.radiograph import network_pixels, read_radiograph
from training.data.manifest import of_split, read_manifest
from training.export.lung_limits import lung_limits

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/evaluation.md"
START, END = "<!-- lung refusals -->\n", "<!-- end of lung refusals -->"
SIZE = (320, 320)
SUFFIXES = (".png", ".jpg")
Figures = list[list[float]]


def main() -> int:
    """Measure, and rewrite the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with `cxr`, `unlike` and `ood`")
    data = parser.parse_args().data
    window = LungWindow(lung_field()[0], LungSpec(), SIZE)
    found = {name: figures(window, files) for name, files in sets(data).items()}
    limits = lung_limits(np.array(found["val films"]))
    page = PAGE.read_text()
    before, rest = page.split(START)
    _, after = rest.split(END)
    text = "\n".join([*table(found, limits), "", sentence(limits)])
    PAGE.write_text(f"{before}{START}{text}\n{END}{after}")
    return 0


def sets(data: Path) -> Mapping[str, list[Path]]:
    """Return the files of each row of the table."""
    films = read_manifest(data / "cxr/manifest.csv")
    return {
        "val films": [film.path for film in of_split(films, "val")],
        "test films": [film.path for film in of_split(films, "test")],
        "images to tune refusal with (`unlike`)": images(data / "unlike/images"),
        "images to refuse (`ood`)": images(data / "ood"),
    }


def images(folder: Path) -> list[Path]:
    """Return the pictures of a folder."""
    return sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES)


@torch.inference_mode()
def figures(window: LungWindow, files: Iterable[Path]) -> Figures:
    """Return area, balance and stray share of each file that can be read as a film."""
    found = []
    for file in tqdm(files, leave=False):
        try:
            radiograph = read_radiograph(file.read_bytes())
        except RadiographError:
            continue
        seen = network_pixels(radiograph, image_size=SIZE, resize_mode="stretch")
        view = window.view(torch.from_numpy(seen.pixels)[None, None])
        found.append([float(figure) for figure in view.figures])
    return found


def table(found: Mapping[str, Figures], limits: LungLimits) -> Iterator[str]:
    """Yield the lines of the table: how many are refused, and beyond which limits."""
    yield from head("read as films", "number", "refused", "by area", "by balance", "by stray share")
    open_limits = LungLimits(area=(0, 1), balance=0, stray=1)
    for name, films in found.items():
        each = [
            open_limits.model_copy(update={limit: getattr(limits, limit)})
            for limit in ("area", "balance", "stray")
        ]
        counts = [sum(bool(one.faults(film)) for film in films) for one in (limits, *each)]
        yield row(name, str(len(films)), *map(str, counts))


def sentence(limits: LungLimits) -> str:
    """Return the limits in words."""
    low, high = limits.area
    return (
        f"Limits: area {low:.3f} to {high:.3f}, balance {limits.balance:.3f}, stray share "
        f"{limits.stray:.3f}."
    )


if __name__ == "__main__":
    raise SystemExit(main())
