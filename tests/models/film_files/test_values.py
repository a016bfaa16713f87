"""A film's values, seen through the first of their windows, are the film that networks see."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models.radiograph import UnreadableFilmError, read_film_values, read_radiograph
from tests.models.film_files.test_dicom import RAMP, dicom, dicom_dataset, lookup_table, saved
from tests.models.film_files.test_picture import DEEP, UPPER_LEFT_BRIGHT, encoded

SIGNED = RAMP.astype(np.int16) - 2048
PADDED = np.where(RAMP > 2000, SIGNED, -5000).astype(np.int16)
NEGATIVE = {"PhotometricInterpretation": "MONOCHROME1"}
WINDOW = {"WindowCenter": 150.5, "WindowWidth": 901}
FLOATS = np.linspace(-3, 7, 600, dtype=np.float32).reshape(20, 30)


def shown(film):
    """Return the film's 8-bit grey, through its first window as a page makes it."""
    pixels, scale = film.pixels, film.scale
    window = scale.windows[0]
    values = pixels * scale.slope + scale.intercept
    grey = (values - (window.centre - 0.5)) / max(window.width - 1, 1e-6) + 0.5
    return np.rint(255 * grey.clip(0, 1))


def assert_shown_as_read(film):
    expected = np.rint(255 * read_radiograph(film).pixels)
    found = read_film_values(film)
    assert found.pixels.dtype == np.uint16
    assert np.abs(shown(found) - expected).max() <= 1


def values(film):
    return film.pixels * film.scale.slope + film.scale.intercept


def read(stored, **elements):
    return read_film_values(dicom(stored, **elements))


def float_dicom(stored, **elements):
    dataset = dicom_dataset(stored, **elements)
    dataset.FloatPixelData = dataset.PixelData
    del dataset.PixelData
    return saved(dataset)


@pytest.mark.parametrize("negative", [{}, NEGATIVE])
@pytest.mark.parametrize(
    ("stored", "elements"),
    [
        (RAMP, {}),
        (RAMP, {"WindowCenter": [1000, 50], "WindowWidth": [600, 10]}),
        (RAMP, {"WindowCenter": [1000, 50], "WindowWidth": [0, 10]}),
        (RAMP, {"WindowCenter": 1000, "WindowWidth": 1}),
        (RAMP, {"WindowCenter": float("inf"), "WindowWidth": 5}),
        (SIGNED, WINDOW),
        (SIGNED, WINDOW | {"VOILUTFunction": "LINEAR_EXACT"}),
        (SIGNED, WINDOW | {"VOILUTFunction": "SIGMOID"}),
        (SIGNED, {"VOILUTFunction": "SIGMOID"}),
        (SIGNED, WINDOW | {"RescaleSlope": 0.37, "RescaleIntercept": -11.5}),
        (SIGNED, WINDOW | {"RescaleSlope": -2, "RescaleIntercept": 30}),
        (SIGNED, WINDOW | {"RescaleSlope": 0, "RescaleIntercept": 30}),
        (SIGNED, {"RescaleSlope": 1e-7, "RescaleIntercept": 0}),
        (PADDED, {"PixelPaddingValue": -5000}),
        (PADDED, WINDOW | {"PixelPaddingValue": -5000}),
        (PADDED, WINDOW | {"PixelPaddingValue": -5000, "RescaleSlope": -1, "RescaleIntercept": 9}),
        (PADDED, {"PixelPaddingValue": -5000, "WindowCenter": -300000, "WindowWidth": 9}),
        (np.full((4, 4), 7, np.uint8), {}),
        (np.full((4, 4), 7, np.uint8), {"PixelPaddingValue": 7} | WINDOW),
        (RAMP, {"VOILUTSequence": [lookup_table(0, 12, list(range(4095, -1, -1)))]}),
        (RAMP, {"ModalityLUTSequence": [lookup_table(0, 16, list(range(0, 8192, 2)))]} | WINDOW),
        (RAMP.astype(np.uint32) * 1000, {"WindowCenter": 2e6, "WindowWidth": 4e5}),
        (RAMP.astype(np.uint32) * 1000, {"WindowCenter": 2e6, "WindowWidth": 4e3}),
    ],
)
def test_a_dicom_film_is_shown_as_networks_see_it(stored, elements, negative):
    assert_shown_as_read(dicom(stored, **elements, **negative))


@pytest.mark.parametrize("elements", [{}, {"WindowCenter": 2, "WindowWidth": 3}, NEGATIVE])
def test_so_is_one_of_floats(elements):
    assert_shown_as_read(float_dicom(FLOATS, **elements))


@given(
    st.floats(-2000, 2000),
    st.floats(0.5, 5000),
    st.sampled_from(["LINEAR", "LINEAR_EXACT"]),
    st.sampled_from([SIGNED, PADDED]),
    st.booleans(),
)
def test_whatever_the_window_is(centre, width, function, stored, is_negative):
    window = {"WindowCenter": round(centre, 2), "WindowWidth": round(width, 2)}
    elements = window | {"VOILUTFunction": function, "PixelPaddingValue": -5000}
    film = dicom(stored, **elements, **(NEGATIVE if is_negative else {}))
    found = np.abs(shown(read_film_values(film)) - np.rint(255 * read_radiograph(film).pixels))
    # A step may fall on a value itself, where single precision decides.
    assert (found <= 1).all() or width < 1.1


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_a_picture_is_shown_as_networks_see_it(kind, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    assert_shown_as_read(encoded(UPPER_LEFT_BRIGHT, kind, exif=exif))


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("pixels", [DEEP, FLOATS, FLOATS[:1, :1], FLOATS * 1e-12, FLOATS * 1e37])
def test_so_are_deep_and_float_tiffs(pixels, photometric):
    assert_shown_as_read(encoded(pixels, "TIFF", tiffinfo={262: photometric}))


def test_values_are_those_after_rescaling():
    film = read(SIGNED, RescaleSlope=0.5, RescaleIntercept=-3)
    assert np.array_equal(values(film), SIGNED * 0.5 - 3)
    assert (film.scale.low, film.scale.high) == (-1027, 1020.5)


def test_values_of_a_negative_are_turned_round():
    film = read(SIGNED + 10, **NEGATIVE)
    assert np.array_equal(values(film), (SIGNED + 10)[::-1, ::-1])


def test_ordinary_values_are_the_pixels_themselves():
    deep = np.array([[0, 300, 65535]], np.uint16)
    for film in (dicom(deep), encoded(deep, "PNG"), encoded(deep, "TIFF")):
        found = read_film_values(film)
        assert (found.scale.slope, found.scale.intercept) == (1, 0)
        assert np.array_equal(found.pixels, deep)


def test_eight_bits_have_the_window_of_eight_bits():
    film = read_film_values(encoded(np.array([[3, 200]], np.uint8), "PNG"))
    assert [(one.centre, one.width) for one in film.scale.windows] == [(128, 256)]
    assert (film.scale.low, film.scale.high) == (3, 200)


def test_floats_come_as_near_as_sixteen_bits_can():
    film = read_film_values(encoded(FLOATS, "TIFF"))
    assert values(film) == pytest.approx(FLOATS, abs=10 / 65535)
    assert (film.scale.low, film.scale.high) == (-3, 7)


def test_all_windows_are_there_by_standard_names_only():
    film = read(
        RAMP,
        WindowCenter=[1000, 50, 7, 80],
        WindowWidth=[600, 0, 20, 90],
        WindowCenterWidthExplanation=["lung", "BONE", "DOE^JANE", "WINDOW4"],
        VOILUTFunction="LINEAR_EXACT",
    )
    assert [(one.centre, one.width, one.name) for one in film.scale.windows] == [
        (1000.5, 601, "LUNG"),
        (7.5, 21, None),
        (80.5, 91, "WINDOW4"),
    ]


def test_padding_is_black_in_every_window_and_no_value_of_the_film():
    film = read(PADDED, PixelPaddingValue=-5000, WindowCenter=[100, -9000], WindowWidth=[600, 2000])
    assert all((values(film)[RAMP <= 2000] <= window.black).all() for window in film.scale.windows)
    assert (film.scale.low, film.scale.high) == (-47, 2047)


@pytest.mark.parametrize(
    ("elements", "spacing"),
    [
        ({"PixelSpacing": [0.2, 0.3], "ImagerPixelSpacing": [0.4, 0.5]}, (0.2, 0.3)),
        ({"ImagerPixelSpacing": [0.4, 0.5]}, (0.4, 0.5)),
        ({"PixelSpacing": [0, 0.3], "ImagerPixelSpacing": [0.4, 0.5]}, (0.4, 0.5)),
        ({"PixelSpacing": [0.2, 2000]}, None),
        ({"PixelSpacing": 0.2}, None),
        ({}, None),
    ],
)
def test_spacing_is_what_is_sound_and_rather_the_patients(elements, spacing):
    assert read(RAMP, **elements).scale.spacing == spacing


@pytest.mark.parametrize("number", [b"0.25\\Doe ", b"nan\\0.300", b"\xff\xfe\xfd\xfc00.30"])
def test_a_malformed_spacing_is_none_and_no_reason_to_refuse_a_film(number):
    film = dicom(RAMP, PixelSpacing=["0.25", "0.30"], WindowCenterWidthExplanation="\x1b$)C")
    assert read_film_values(film).scale.spacing == (0.25, 0.3)
    assert read_film_values(film.replace(b"0.25\\0.30", number)).scale.spacing is None


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_the_resolution_of_a_picture_is_not_that_of_a_film(kind):
    assert read_film_values(encoded(UPPER_LEFT_BRIGHT, kind, dpi=(254, 254))).scale.spacing is None


def test_what_cannot_be_read_has_no_values_either():
    for film in (dicom(RAMP)[:400], encoded(RAMP, "PNG")[:100], float_dicom(FLOATS * np.nan)):
        with pytest.raises(UnreadableFilmError):
            read_film_values(film)


def test_every_real_film_is_shown_as_networks_see_it(shared):
    folder = shared / "data/dicom"
    with (folder / "files.csv").open() as table:
        names = [row["file"] for row in csv.DictReader(table)]
    films = [(folder / name).read_bytes() for name in names]
    readable = [film for film in films if is_readable(film)]
    assert len(readable) >= 19
    for film in readable:
        assert_shown_as_read(film)


def is_readable(film):
    try:
        return bool(read_radiograph(film).rows)
    except ValueError:
        return False
