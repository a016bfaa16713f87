"""Measure films per second of a loop that decodes films and runs the model, and no more.

    python benchmarks/bare_loop.py FOLDER FILMS

As many threads as CPUs, each with its own one-thread session.
"""

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from service.films.decoding import Limits, View, seen_film
from service.settings import OWN_MODELS
from xai.explainer import Explainer

MODEL = OWN_MODELS / "chest_cnn.onnx"


def main() -> None:
    """Print the films per second."""
    films = [path.read_bytes() for path in sorted(Path(sys.argv[1]).iterdir())]
    number = int(sys.argv[2])
    of_this_thread = threading.local()

    def start() -> None:
        of_this_thread.explainer = Explainer(MODEL, threads=1)

    def answer(place: int) -> None:
        explainer: Explainer = of_this_thread.explainer
        seen = seen_film(films[place % len(films)], View.of(explainer.card), Limits())
        explainer(seen.input.pixels[None, None])

    with ThreadPoolExecutor(len(os.sched_getaffinity(0)), initializer=start) as pool:
        list(pool.map(answer, range(len(films))))  # warm
        begin = time.perf_counter()
        list(pool.map(answer, range(number)))
        print(number / (time.perf_counter() - begin))


if __name__ == "__main__":
    main()
