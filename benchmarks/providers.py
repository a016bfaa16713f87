"""Compare OpenVINO with ONNX Runtime's own CPU provider, in speed and in exactness.

    python benchmarks/providers.py [--films FOLDER] [--rounds 7] [--threads 2] [--model NAME]

The built-in models, 224x224, the same number of threads for both. Both take turns in one process,
so that they see the same machine; medians. Exactness is that of the worst of twenty drawn films
and, given a folder, of the first twenty in it: the largest difference of a probability, the
correlation of evidence, and the largest difference of the others as a share of the film's largest
number.
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, cycle, islice, product
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image

from models.card import ModelCard
from models.radiograph import network_pixels, read_radiograph
from service.settings import OWN_MODELS
from training.data.phantom import FINDINGS, draw_film
from xai.explainer import Answers, Explainer, Floats
from xai.runtime.execution import Precision
from xai.runtime.golden import correlation
from xai.runtime.processors import available_cpus

MODELS = ("vgg16", "vit_b16")
FILMS = 20
BATCHES = (1, 8)
WARM_UP_ROUNDS = 2
PICTURES = (".png", ".jpg", ".jpeg", ".dcm")
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
SPEED = "| model | precision | batch | ONNX Runtime CPU, ms | OpenVINO, ms | times as fast |"
EXACTNESS = (
    "| model | precision | films | probabilities off by | evidence correlates by "
    "| logits, evidence, distance off by |"
)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--films", type=Path, help="folder of films")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=available_cpus())
    parser.add_argument("--model", action="append", default=[])
    arguments = parser.parse_args()
    films = {"drawn": list(drawn_films())}
    if arguments.films:
        films["real"] = list(films_in(arguments.films))
    print(f"{processor()}; {arguments.threads} threads")
    exactness = []
    print_head(SPEED)
    for name, precision in product(arguments.model or MODELS, get_args(Precision)):
        try:
            contest = Contest(name, precision, arguments.threads)
        except ValueError as error:
            exactness.append(f"| {name} | {precision} | refused: {error} | | | |")
            continue
        contest.print_speed(films["drawn"], arguments.rounds)
        exactness.extend(contest.exactness(kind, films[kind]) for kind in films)
    print_head(EXACTNESS)
    print("\n".join(exactness))


def print_head(head: str) -> None:
    """Print the first two lines of a table."""
    print(f"\n{head}\n{'| --- ' * (head.count('|') - 1)}|", flush=True)


def processor() -> str:
    """Return the processor's name and which instructions for neural networks it has."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    about = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)
    }
    flags = about["flags"].split()
    told = (f"{name} {'yes' if name in flags else 'no'}" for name in INSTRUCTIONS)
    return f"{about['model name']}: {', '.join(told)}"


def drawn_films() -> Iterator[bytes]:
    """Yield drawn films of all findings as PNG."""
    for finding, seed in islice(zip(cycle(FINDINGS), count(), strict=False), FILMS):
        png = io.BytesIO()
        Image.fromarray(draw_film(finding, seed=seed).pixels).save(png, "PNG")
        yield png.getvalue()


def films_in(folder: Path) -> Iterator[bytes]:
    """Yield the first films of a folder and the folders in it, by name."""
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in PICTURES)
    for file in files[:FILMS]:
        yield file.read_bytes()


class Contest:
    """One model, run by ONNX Runtime's CPU provider in float32 and by OpenVINO.

    Raises:
        ValueError: OpenVINO is not installed, or does not repeat the golden answer.
    """

    def __init__(self, name: str, precision: Precision, threads: int) -> None:
        file = OWN_MODELS / f"{name}.onnx"
        self.title = f"| {name} | {precision} |"
        self.openvino = Explainer(file, threads=threads, provider="openvino", precision=precision)
        self.usual = Explainer(file, threads=threads)

    def print_speed(self, films: Sequence[bytes], rounds: int) -> None:
        """Print a row for each size of batch."""
        for batch in BATCHES:
            pixels = seen_films(films[:batch], self.usual.card)
            usual, openvino = median_milliseconds([self.usual, self.openvino], pixels, rounds)
            print(
                f"{self.title} {batch} | {usual:.1f} | {openvino:.1f} | {usual / openvino:.2f} |",
                flush=True,
            )

    def exactness(self, kind: str, films: Sequence[bytes]) -> str:
        """Return the row with the differences between OpenVINO's answers and the usual ones."""
        pixels = seen_films(films, self.usual.card)
        usual, other = self.usual(pixels), self.openvino(pixels)
        similarity = min(map(correlation, usual.evidence, other.evidence))
        probabilities = np.abs(usual.probabilities - other.probabilities).max()
        shares = ", ".join(
            f"{share(getattr(usual, name), getattr(other, name)):.2%}"
            for name in ("logits", "evidence", "distance")
        )
        return f"{self.title} {kind} | {probabilities:.5f} | {similarity:.5f} | {shares} |"


def seen_films(films: Iterable[bytes], card: ModelCard) -> Floats:
    """Return films as network pixels in [0, 1]: [films, 1, rows, columns]."""
    view = {name: getattr(card, name) for name in ("image_size", "resize_mode", "crop_pct")}
    return np.stack([network_pixels(read_radiograph(film), **view).pixels[None] for film in films])


def share(usual: Floats, other: Floats) -> float:
    """Return the largest difference of any film, as a share of that film's largest number."""
    films = zip(usual, other, strict=True)
    return max(float(np.abs(one - two).max() / np.abs(one).max()) for one, two in films)


def median_milliseconds(
    contestants: Sequence[Callable[[Floats], Answers]], pixels: Floats, rounds: int
) -> list[float]:
    """Return each contestant's median time, in turns and every other round in reverse order."""
    times: list[list[float]] = [[] for _ in contestants]
    turns = list(zip(contestants, times, strict=True))
    for round_number in range(WARM_UP_ROUNDS + rounds):
        for contestant, taken in turns[:: (-1) ** round_number]:
            start = time.perf_counter()
            contestant(pixels)
            taken.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(taken[WARM_UP_ROUNDS:]) for taken in times]


if __name__ == "__main__":
    main()
