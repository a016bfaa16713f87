"""Write a film with the evidence for one class painted over it, or DICOM objects: `cxr explain`.

`--method` needs `training.maps.methods`; `cxr.py` passes it in, since this package must not import
it.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from models.film_files.errors import RadiographError
from service.answers.film_answer import FilmAnswer, Overlay, answer_film, check_class
from service.commands.model_argument import add_model_argument, asked_explainer
from service.dicom.answer import can_be_made, result_files
from service.films.decoding import Limits, painted_png
from service.problems import ServiceProblem, UnknownClass
from xai.heatmap import Status, heat

DICOM_FILES = ("report.dcm", "evidence.dcm", "overlay.dcm")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("film", type=Path, metavar="FILE", help="PNG, JPEG, TIFF, DICOM")
    parser.add_argument("-o", "--output", type=Path, help="PNG to write")
    parser.add_argument(
        "--dicom",
        type=Path,
        metavar="FOLDER",
        help="folder for the answer about a DICOM film as DICOM objects: report.dcm and, unless "
        "the film is refused, evidence.dcm and overlay.dcm",
    )
    parser.add_argument(
        "--class",
        dest="class_name",
        help="class to explain (default: the predicted class, or the top finding)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="explain the film even if it is refused as unlike the training films",
    )
    parser.add_argument(
        "--outline",
        action="store_true",
        help="draw the outline of the lungs into the PNG, for a model that sees only the lungs",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the answer too, evidence included"
    )
    parser.add_argument(
        "--method",
        help="explain the PNG by another method than the model's own, such as hirescam, "
        "recipro_cam or integrated_gradients; needs the training packages",
    )
    add_model_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the overlay, the DICOM objects, or both.

    Raises:
        OSError: A file can't be read or written.
        ValueError: Nothing is to be written, the model is not sound, the film can't be used, or
            an overlay is wanted and the film is refused.
    """
    if not arguments.output and not arguments.dicom:
        raise ValueError("give a PNG to write (-o FILE), a folder for DICOM (--dicom), or both")
    try:
        film = arguments.film.read_bytes()
        film_answer = _answer(arguments, film)
        if arguments.dicom:
            _write_dicom(arguments, film, film_answer)
        if arguments.output:
            _write_overlay(arguments, film, film_answer)
    except (RadiographError, ServiceProblem) as error:
        raise ValueError(f"{arguments.film}: {error}") from error
    return 0


def _write_dicom(arguments: argparse.Namespace, film: bytes, film_answer: FilmAnswer) -> None:
    if not can_be_made():
        raise ValueError("--dicom needs highdicom: pip install '.[dicom-results]'")
    prediction = film_answer.explained_prediction(force=arguments.force)
    class_name = arguments.class_name or film_answer.top_class
    files = result_files(film, prediction, class_name, Limits())
    arguments.dicom.mkdir(parents=True, exist_ok=True)
    for name, file in zip(DICOM_FILES, files, strict=False):  # a refused film has only the first
        (arguments.dicom / name).write_bytes(file)
        sys.stderr.write(f"{arguments.dicom / name}\n")


def _write_overlay(arguments: argparse.Namespace, film: bytes, film_answer: FilmAnswer) -> None:
    overlay = film_answer.overlay(arguments.class_name, force=arguments.force)
    if arguments.method:
        overlay = _by_method(arguments, film_answer, overlay)
    paint = overlay.paint._replace(is_outlined=arguments.outline)
    arguments.output.write_bytes(painted_png(film, paint, Limits()))
    sys.stderr.write(f"{overlay.class_name}: {overlay.status}\n")


def _by_method(arguments: argparse.Namespace, film_answer: FilmAnswer, overlay: Overlay) -> Overlay:
    """Return the overlay with another method's map, full colour at the map's own maximum."""
    explainer, seen = film_answer.explainer, film_answer.film.input
    if overlay.class_name not in explainer.card.class_names:
        raise UnknownClass(f"{arguments.method} has maps of classes, not of groups.")
    number = explainer.card.class_names.index(overlay.class_name)
    found = arguments.map_by(arguments.method, explainer.file, seen.pixels, number)
    sys.stderr.write(f"{arguments.method} has no scale of its own: full colour is its maximum\n")
    shown = heat(found, max(float(found.max()), 1e-30)) * (overlay.status is Status.OK)
    return replace(overlay, paint=overlay.paint._replace(heat=shown))


def _answer(arguments: argparse.Namespace, film: bytes) -> FilmAnswer:
    explainer = asked_explainer(arguments)
    check_class(explainer, arguments.class_name)
    film_answer = answer_film(explainer, film)
    if arguments.json:
        answer = film_answer.explained_prediction(force=arguments.force)
        sys.stdout.write(answer.model_dump_json() + "\n")
    return film_answer
