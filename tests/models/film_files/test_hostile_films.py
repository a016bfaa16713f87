"""What crafted films cost, in a process of its own, since memory once used doesn't come back."""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.radiograph import NotAnImageError, RadiographError, read_radiograph
from tests.support.hostile_films import GREY, READ, REFUSED, dicom, encoded

pytestmark = pytest.mark.slow

GIBIBYTE = 2**30
SECONDS = 10


def peak_bytes():
    """Return the most memory that this process has held; `getrusage` counts its parent's too."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def read_all():
    """Print what became of each crafted film, its seconds and its memory; in a child."""
    resource.setrlimit(resource.RLIMIT_AS, (4 * GIBIBYTE, 4 * GIBIBYTE))
    for name, make in (READ | REFUSED).items():
        film = make()
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # peak: from here on
        start = time.perf_counter()
        try:
            read_radiograph(film)
            outcome = "film"
        except RadiographError as error:
            outcome = type(error).__name__
        seconds = time.perf_counter() - start
        sys.stdout.write(json.dumps([name, outcome, seconds, peak_bytes()]) + "\n")
        sys.stdout.flush()


@pytest.fixture(scope="module")
def costs():
    code = "from tests.models.film_files.test_hostile_films import read_all; read_all()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_crafted_film_is_read_or_refused_as_it_should_be(costs):
    outcomes = {name: outcome for name, outcome, *_ in costs}
    assert {name for name in outcomes if outcomes[name] == "film"} == set(READ)
    assert len(outcomes) == len(READ) + len(REFUSED)


def test_no_crafted_film_takes_a_gibibyte_or_ten_seconds(costs):
    sys.stdout.writelines(
        f"{seconds:6.2f} s {peak / 2**20:5.0f} MiB  {name}\n" for name, _, seconds, peak in costs
    )
    for name, _, seconds, peak in costs:
        assert peak < GIBIBYTE, name
        assert seconds < SECONDS, name


@pytest.mark.parametrize("disguise", [b"II*\0\x08\0\0\0", b"MZ", b"<html><script>", b"%PDF-1.7"])
def test_a_dicom_preamble_that_looks_like_something_else_is_a_dicom(disguise):
    film = dicom()
    disguised = disguise.ljust(128, b"\0") + film[128:]
    assert read_radiograph(disguised).format == "dicom"


@pytest.mark.parametrize("tail", [b"PK\x03\x04" + bytes(40), b"%PDF-1.7", b"<script>", dicom()])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_what_hangs_on_behind_a_picture_is_not_looked_at(kind, tail):
    film = encoded(GREY, kind)
    polyglot, alone = read_radiograph(film + tail), read_radiograph(film)
    assert polyglot.format == alone.format
    assert (polyglot.pixels == alone.pixels).all()


@pytest.mark.parametrize("head", [b"GIF89a", b"PK\x03\x04", b"%PDF-1.7\n", b"<svg>", b"RIFF"])
def test_a_picture_behind_something_else_is_none(head):
    with pytest.raises(NotAnImageError):
        read_radiograph(head + encoded(GREY, "PNG"))


@pytest.mark.parametrize("name", [name for name in REFUSED if "million" not in name])
def test_no_refusal_repeats_what_stands_in_the_film(name):
    with pytest.raises(RadiographError) as caught:
        read_radiograph(REFUSED[name]() + b"Doe^Jane")
    assert "Doe" not in str(caught.value)
    assert len(str(caught.value)) < 100
