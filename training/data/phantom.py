"""Draw synthetic chest films with findings at known places, for tests and first steps.

A network learns from them to find drawn lesions, and nothing about patients.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from training.data.drawn_chest import Anatomy, Finding, Lesion, Plane, density, lungs

FINDINGS: tuple[Finding, ...] = get_args(Finding)
SAMPLES: dict[Finding, int] = {"normal": 15, "opacity": 33, "effusion": 25}
"""Example films, each with its seed."""
SPLITS = ("train", "val", "train", "test", "train")
"""Splits of a class's patients, in turn."""
FEWEST_PATIENTS = 4
"""Fewest patients of a class with which it is in every split."""
COLUMNS = ("path", "label", "patient_id", "source", "view", "split", "group_id", "mask_path")


@dataclass(frozen=True)
class PhantomFilm:
    """One drawn film.

    Attributes:
        pixels: Air dark, bone bright.
        mask: Where the finding is; empty on a normal film.
        lungs: Where the lungs are, the finding included.
        finding: The film's class.
        view: Posteroanterior or anteroposterior; the latter shows a larger heart.
    """

    pixels: UInt8[np.ndarray, "rows columns"]
    mask: Bool[np.ndarray, "rows columns"]
    lungs: Bool[np.ndarray, "rows columns"]
    finding: Finding
    view: Literal["PA", "AP"]


def draw_film(
    finding: Finding, *, seed: int, view: int = 0, columns: int = 320, marker: bool = False
) -> PhantomFilm:
    """Return a film; the same arguments always give the same one.

    Args:
        finding: Its class. Everything but the finding stays as it is when only this changes.
        seed: The patient. All films of one seed share their anatomy and their lesion.
        view: Number of the film; position, exposure, contrast and noise differ between them.
        columns: Width of the film in pixels; the height follows the patient.
        marker: Whether to draw a letter in the film's upper right corner.

    Raises:
        ValueError: `finding` is none of `FINDINGS`, or `columns` is below 32.
    """
    if finding not in FINDINGS:
        raise ValueError(f"finding must be one of {FINDINGS}, not {finding!r}")
    if columns < 32:
        raise ValueError(f"columns must be at least 32, not {columns}")
    anatomy = Anatomy.drawn_from(np.random.default_rng((seed, 0)))
    lesion = None
    if finding != "normal":
        lesion = Lesion.drawn_from(np.random.default_rng((seed, 1)), anatomy, finding)
    random = np.random.default_rng((seed, 2, view))
    x, y = _coordinates(random, round(columns * anatomy.height_to_width), columns)
    if view % 2:
        anatomy = replace(anatomy, heart_width=1.15 * anatomy.heart_width)
    tissue, share = density(anatomy, lesion, x, y)
    pixels = _exposed(random, tissue)
    if marker:
        _draw_marker(pixels)
    inside = lungs(anatomy, x, y) > 0.5
    return PhantomFilm(pixels, share > 0.5, inside, finding, "AP" if view % 2 else "PA")


def _coordinates(random: np.random.Generator, rows: int, columns: int) -> tuple[Plane, Plane]:
    """Return every pixel's chest coordinates; the patient's position is random."""
    zoom = random.uniform(0.37, 0.43) * columns
    stretch = zoom * rows / columns
    across, down = random.uniform(0.47, 0.53), random.uniform(0.49, 0.55)
    lean = random.uniform(-0.06, 0.06)
    y = (np.arange(rows, dtype=np.float32)[:, None] + 0.5 - down * rows) / stretch
    x = (np.arange(columns, dtype=np.float32) + 0.5 - across * columns) / zoom - lean * y
    return x.astype(np.float32), np.broadcast_to(y, x.shape).astype(np.float32)


def _exposed(random: np.random.Generator, tissue: Plane) -> UInt8[np.ndarray, "rows columns"]:
    """Return densities as a film with random exposure, contrast and noise."""
    gamma, contrast = random.uniform(0.8, 1.25), random.uniform(0.8, 1.05)
    brightness = random.uniform(0.0, 0.08)
    cloud = Image.fromarray(random.normal(0, 0.035, (9, 9)).astype(np.float32))
    uneven = np.asarray(cloud.resize(tissue.shape[::-1], Image.Resampling.BICUBIC))
    grain = random.standard_normal(tissue.shape, np.float32) * np.float32(
        random.uniform(0.008, 0.02)
    )
    bright = np.clip(tissue / 1.75, 0, None) ** np.float32(gamma)
    film = brightness + contrast * bright * (1 + uneven) + grain
    return np.rint(255 * np.clip(film, 0, 1)).astype(np.uint8)


def _draw_marker(pixels: UInt8[np.ndarray, "rows columns"]) -> None:
    """Draw a letter L into the upper right corner, in place, as lead letters look."""
    side = max(4, pixels.shape[1] // 16)
    top, left, stroke = side // 2, pixels.shape[1] - 3 * side // 2, max(1, side // 4)
    pixels[top : top + side, left : left + stroke] = 250
    pixels[top + side - stroke : top + side, left : left + round(0.7 * side)] = 250


def write_phantom_set(
    folder: Path,
    *,
    patients: int = 200,
    seed: int = 0,
    findings: Sequence[Finding] = FINDINGS,
    marker_class: Finding | None = None,
    columns: int = 320,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Path:
    """Draw patients with two to four films each, and return the manifest that lists them.

    `images/` holds the films and `masks/` where the finding is (none for a normal film). About
    60, 20 and 20 % of the patients of every class are in train, val and test.

    Args:
        folder: Made where it does not exist; must be empty.
        patients: How many. All films of a patient have one class.
        seed: The same seed draws the same set.
        findings: Classes of the patients, in turn.
        marker_class: Only its films get a corner marker: a shortcut for an audit to find.
        columns: Width of the films in pixels.
        progress: Wraps the patients' numbers, to watch the work.

    Raises:
        ValueError: `folder` is not empty, there are too few patients for every class to be in
            every split, or `marker_class` is none of `findings`.
    """
    _check(patients, findings, marker_class)
    _make_empty(folder)
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        rows.writeheader()
        for number in progress(range(patients)):
            turn, place = divmod(number, len(findings))
            marked = findings[place] == marker_class
            films = _films(findings[place], number, seed, columns, marker=marked)
            rows.writerows(_write_patient(folder, number, SPLITS[turn % len(SPLITS)], films))
    return manifest


def _check(patients: int, findings: Sequence[Finding], marker_class: Finding | None) -> None:
    if patients < (fewest := FEWEST_PATIENTS * len(findings)):
        raise ValueError(f"patients must be at least {fewest}, not {patients}")
    if marker_class is not None and marker_class not in findings:
        raise ValueError(f"marker_class must be one of {findings}, not {marker_class!r}")


def _make_empty(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"folder must be empty or not exist: {folder}")
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)


def _films(
    finding: Finding, number: int, seed: int, columns: int, *, marker: bool
) -> Iterator[PhantomFilm]:
    """Yield the two to four films of one patient of a set."""
    own_seed = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
    for view in range(2 + own_seed % 3):
        yield draw_film(finding, seed=own_seed, view=view, columns=columns, marker=marker)


def _write_patient(
    folder: Path, number: int, split: str, films: Iterable[PhantomFilm]
) -> Iterator[dict[str, str]]:
    """Write one patient's films and yield their rows of the manifest."""
    patient = f"phantom-{number:05}"
    for view, film in enumerate(films):
        name = f"{number:05}_{view}.png"
        _save(film.pixels, folder / "images" / name)
        if film.mask.any():
            _save(film.mask.astype(np.uint8) * np.uint8(255), folder / "masks" / name)
        yield {
            "path": f"images/{name}",
            "label": film.finding,
            "patient_id": patient,
            "source": "phantom",
            "view": film.view,
            "split": split,
            "group_id": patient,
            "mask_path": f"masks/{name}" if film.mask.any() else "",
        }


def _save(pixels: UInt8[np.ndarray, "rows columns"], path: Path) -> None:
    Image.fromarray(pixels).save(path, compress_level=1)


def write_samples(folder: Path) -> None:
    """Draw example films, such as `drawn_normal.png`, 512 pixels wide."""
    folder.mkdir(parents=True, exist_ok=True)
    for finding, seed in SAMPLES.items():
        film = draw_film(finding, seed=seed, columns=512)
        Image.fromarray(film.pixels).save(folder / f"drawn_{finding}.png", optimize=True)
