"""Serve the default model with LitServe, for `throughput.py`.

    python benchmarks/litserve_server.py PORT [--workers 2] [--threads 1]

Same reader, same ONNX file, LitServe's own batching.
"""

import argparse
import os

import litserve
import numpy as np
from fastapi import Request, Response
from fastapi.responses import JSONResponse

from service.films.decoding import Limits, View, seen_film
from service.settings import OWN_MODELS
from xai.explainer import Answers, Explainer, Floats


class ExplainedFilms(litserve.LitAPI):  # type: ignore[misc]
    """Answer a film in LitServe's four steps: setup, decode, predict, encode."""

    threads = 1

    def setup(self, device: str) -> None:
        """Load the model."""
        self.explainer = Explainer(OWN_MODELS / "chest_cnn.onnx", threads=self.threads)

    # Annotated as LitServe wants to see them: it makes its route of these two.
    def decode_request(self, request: Request) -> Floats:
        """Return network pixels [1, rows, columns]."""
        film = request["film"].file.read()
        return seen_film(film, View.of(self.explainer.card), Limits()).input.pixels[None]

    def batch(self, inputs: list[Floats]) -> Floats:
        """Return one batch."""
        return np.stack(inputs)

    def predict(self, pixels: Floats) -> Answers:
        """Return the model's answers."""
        return self.explainer(pixels)

    def unbatch(self, answers: Answers) -> list[Answers]:
        """Return the answers film by film."""
        return list(answers.films())

    def encode_response(self, answers: Answers) -> Response:
        """Return the answer as JSON."""
        return JSONResponse(
            {
                "logits": answers.logits[0].tolist(),
                "probabilities": answers.probabilities[0].tolist(),
                "evidence": answers.evidence[0].tolist(),
                "distance": float(answers.distance[0]),
            }
        )


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("port", type=int)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, help="of a session (default: one per CPU)")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--batch-timeout", type=float, default=0.005)
    options = parser.parse_args()
    api = ExplainedFilms(max_batch_size=options.batch_size, batch_timeout=options.batch_timeout)
    api.threads = options.threads or len(os.sched_getaffinity(0))
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=options.workers)
    server.run(host="127.0.0.1", port=options.port, generate_client_file=False, log_level="error")


if __name__ == "__main__":
    main()
