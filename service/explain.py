"""`cxr explain`: a film with the evidence for one class painted over it.

`--method` asks `training.methods`, which this module does not know: the command line hands it over.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from models.film_errors import RadiographError
from service.examination import Examination, Overlay, check_class, examine
from service.predict import add_model_argument, asked_explainer
from service.problems import ServiceProblem
from service.reading import Limits, Paint, painted_png
from xai.heatmap import Status, heat


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("film", type=Path, metavar="FILE", help="PNG, JPEG, TIFF, DICOM")
    parser.add_argument("-o", "--output", type=Path, required=True, help="PNG to write")
    parser.add_argument(
        "--class", dest="class_name", help="default: the predicted class, or the foremost finding"
    )
    parser.add_argument(
        "--force", action="store_true", help="explain a film unlike the training films all the same"
    )
    parser.add_argument("--json", action="store_true", help="print the answer, evidence included")
    parser.add_argument(
        "--method",
        help="another method than the model's own Grad-CAM, such as hirescam, recipro_cam or "
        "integrated_gradients; needs the packages of training",
    )
    add_model_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the overlay.

    Raises:
        OSError: A file can't be read or written.
        ValueError: The model is no sound one, or the film can't be used or is refused.
    """
    try:
        film = arguments.film.read_bytes()
        overlay = _explained(arguments, film)
        png = painted_png(film, overlay.paint, Limits())
    except (RadiographError, ServiceProblem) as error:
        raise ValueError(f"{arguments.film}: {error}") from error
    arguments.output.write_bytes(png)
    sys.stderr.write(f"{overlay.class_name}: {overlay.status}\n")
    return 0


def _explained(arguments: argparse.Namespace, film: bytes) -> Overlay:
    explainer = asked_explainer(arguments)
    check_class(explainer, arguments.class_name)
    examination = examine(explainer, film)
    if arguments.json:
        answer = examination.explained_prediction(force=arguments.force)
        sys.stdout.write(answer.model_dump_json() + "\n")
    overlay = examination.overlay(arguments.class_name, force=arguments.force)
    return _by_method(arguments, examination, overlay) if arguments.method else overlay


def _by_method(arguments: argparse.Namespace, asked: Examination, overlay: Overlay) -> Overlay:
    """Return the overlay with another method's map, full colour at the map's own maximum."""
    explainer, seen = asked.explainer, asked.film.seen
    number = explainer.card.class_names.index(overlay.class_name)
    found = arguments.map_by(arguments.method, explainer.file, seen.pixels, number)
    sys.stderr.write(f"{arguments.method} has no scale of its own: full colour is its maximum\n")
    shown = heat(found, max(float(found.max()), 1e-30)) * (overlay.status is Status.OK)
    return replace(overlay, paint=Paint(shown, seen.grid_affine(found.shape)))
