import csv
import io
import logging
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import (
    MPEG2MPML,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from models.radiograph import (
    FilmTooLargeError,
    NotAnImageError,
    RadiographError,
    UnreadableFilmError,
    UnsupportedFilmError,
    read_radiograph,
)

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
PATIENT = "Doe^Jane"


def dicom_dataset(stored, *, syntax=ExplicitVRLittleEndian, **elements):
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, "1.2.3"
    dataset.PatientName = PATIENT
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape[:2]
    dataset.BitsAllocated = stored.dtype.itemsize * 8
    dataset.BitsStored = elements.get("BitsStored", dataset.BitsAllocated)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    dataset.PixelData = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    dataset["PixelData"].VR = "OB" if stored.dtype.itemsize == 1 else "OW"
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def saved(dataset):
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def dicom(stored, **elements):
    return saved(dicom_dataset(stored, **elements))


def read(stored, **elements):
    return read_radiograph(dicom(stored, **elements)).pixels


def lookup_table(first, bits, entries):
    table = Dataset()
    table.LUTDescriptor = [len(entries), first, bits]
    table.LUTData = entries
    table["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    table["LUTData"].VR = "US"
    table.ModalityLUTType = "US"
    return table


def compressed(syntax):
    dataset = dicom_dataset(RAMP, BitsStored=12)
    if syntax.is_encapsulated:
        dataset.compress(syntax, generate_instance_uid=False)
    return dataset


def stretched(values):
    return (values - values.min()) / np.ptp(values)


def test_a_film_without_window_is_stretched_from_smallest_to_largest():
    radiograph = read_radiograph(dicom(RAMP + 100))
    assert radiograph.format == "dicom"
    assert radiograph.pixels.dtype == np.float32
    assert radiograph.pixels == pytest.approx(stretched(RAMP.astype(float)))


def test_a_constant_film_is_black():
    assert not read(np.full((4, 4), 7, np.uint8)).any()


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
)
@pytest.mark.parametrize("stored", [RAMP, RAMP.astype(np.int16) - 2048])
def test_the_transfer_syntax_makes_no_difference(syntax, stored):
    elements = {"WindowCenter": 300, "WindowWidth": 2000, "PixelPaddingValue": int(stored[0, 0])}
    assert np.array_equal(read(stored, syntax=syntax, **elements), read(stored, **elements))


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless])
def test_lossless_compression_makes_no_difference(syntax):
    pixels = read_radiograph(saved(compressed(syntax))).pixels
    assert np.array_equal(pixels, read(RAMP, BitsStored=12))


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("stored", [RAMP, RAMP.astype(np.int16) - 2048])
def test_a_window_does_what_pydicom_does_with_it(function, stored):
    elements = {"WindowCenter": 150.5, "WindowWidth": 901, "VOILUTFunction": function}
    dataset = dicom_dataset(stored, **elements, RescaleSlope=1, RescaleIntercept=-20)
    theirs = apply_voi_lut(apply_modality_lut(stored, dataset), dataset)
    lowest = -(2**15) if stored.dtype.kind == "i" else 0
    expected = (theirs - (lowest - 20)) / (2**16 - 1)
    assert read_radiograph(saved(dataset)).pixels == pytest.approx(expected, abs=1e-4)


def test_the_first_of_several_windows_is_used():
    several = read(RAMP, WindowCenter=[1000, 50], WindowWidth=[600, 10])
    assert np.array_equal(several, read(RAMP, WindowCenter=1000, WindowWidth=600))


def test_a_window_of_width_one_is_a_step():
    assert np.array_equal(read(RAMP, WindowCenter=1000, WindowWidth=1), RAMP >= 1000)


@pytest.mark.parametrize("window", [{"WindowWidth": 0}, {"WindowWidth": -5}, {"WindowWidth": ""}])
def test_a_window_without_width_is_ignored(window):
    assert np.array_equal(read(RAMP, WindowCenter=100, **window), read(RAMP))


def test_rescaling_comes_before_the_window():
    rescaled = read(
        RAMP, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=1000, WindowWidth=2000
    )
    assert np.array_equal(rescaled, read(RAMP, WindowCenter=1000.25, WindowWidth=1000.5))


def test_monochrome1_is_inverted_after_the_window():
    window = {"WindowCenter": 500, "WindowWidth": 400}
    inverted = read(RAMP, PhotometricInterpretation="MONOCHROME1", **window)
    assert inverted == pytest.approx(1 - read(RAMP, **window))


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
@pytest.mark.parametrize("undefined", [False, True])
def test_sequences_before_the_pixels_are_passed_over(syntax, undefined):
    inner, outer = Dataset(), Dataset()
    inner.Rows = inner.Columns = 1
    inner.is_undefined_length_sequence_item = outer.is_undefined_length_sequence_item = undefined
    outer.ViewCodeSequence = [inner, inner]
    dataset = dicom_dataset(RAMP, syntax=syntax, ReferencedStudySequence=[outer, Dataset()])
    dataset["ReferencedStudySequence"].is_undefined_length = undefined
    outer["ViewCodeSequence"].is_undefined_length = undefined
    assert np.array_equal(read_radiograph(saved(dataset)).pixels, read(RAMP))


def test_an_unknown_sequence_is_implicit_inside_an_explicit_film():
    film = dicom(RAMP)
    place = film.index(struct.pack("<HH", 0x0028, 0x0002))
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 12) + struct.pack("<HHLL", 0x0028, 0x0010, 4, 9)
    ends = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    unknown = struct.pack("<HH2sHL", 0x0009, 0x1010, b"UN", 0, 0xFFFFFFFF) + item + ends
    pixels = read_radiograph(film[:place] + unknown + film[place:]).pixels
    assert np.array_equal(pixels, read(RAMP))


def test_unused_high_bits_are_no_part_of_a_pixel():
    assert np.array_equal(read(RAMP | 0xF000, BitsStored=12), read(RAMP, BitsStored=12))


def test_twelve_signed_bits_keep_their_sign():
    signed = RAMP.astype(np.int16) - 2048
    unsigned_bits = (signed & 0x0FFF).astype(np.int16)
    assert np.array_equal(read(unsigned_bits, BitsStored=12), read(signed))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_does_not_widen_the_grey_scale(photometric):
    stored = RAMP.astype(np.int16)
    padded = np.where(RAMP > 2000, stored, -2000).astype(np.int16)
    pixels = read(padded, PixelPaddingValue=-2000, PhotometricInterpretation=photometric)
    assert not pixels[RAMP <= 2000].any()
    film = stretched(stored[RAMP > 2000].astype(float))
    expected = 1 - film if photometric == "MONOCHROME1" else film
    assert pixels[RAMP > 2000] == pytest.approx(expected, abs=1e-6)


def test_a_padding_range_covers_everything_between():
    pixels = read(RAMP, PixelPaddingValue=0, PixelPaddingRangeLimit=2000)
    assert not pixels[RAMP <= 2000].any()
    assert (pixels[RAMP > 2016] > 0).all()


def test_a_film_of_padding_only_is_black():
    assert not read(np.full((4, 4), 7, np.uint8), PixelPaddingValue=7).any()


def test_signed_padding_written_as_unsigned_is_understood():
    stored = RAMP.astype(np.int16) - 2048
    dataset = dicom_dataset(stored)
    dataset.add_new("PixelPaddingValue", "US", 2**16 - 2048)
    expected = read(stored, PixelPaddingValue=-2048)
    assert np.array_equal(read_radiograph(saved(dataset)).pixels, expected)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_voi_table_is_scaled_by_its_own_depth(bits):
    entries = [round(x) for x in np.linspace(0, 2**bits - 1, 4096)]
    pixels = read(RAMP, VOILUTSequence=[lookup_table(0, bits, entries)])
    assert pixels == pytest.approx(RAMP / 4095, abs=0.51 / (2**bits - 1))


def test_values_outside_a_table_take_its_ends():
    pixels = read(RAMP, VOILUTSequence=[lookup_table(1000, 8, [51, 102, 204])])
    assert set(np.unique(pixels[RAMP <= 1000])) == {np.float32(0.2)}
    assert set(np.unique(pixels[RAMP >= 1002])) == {np.float32(0.8)}


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_tables_of_words_follow_the_byte_order(syntax):
    table = lookup_table(0, 16, [0, 1, 2, 65535])
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    table.LUTData = np.array([0, 1, 2, 65535], f"{order}u2").tobytes()
    table["LUTData"].VR = "OW"
    pixels = read(RAMP, syntax=syntax, VOILUTSequence=[table])
    assert (pixels[0, 0], pixels[0, -1]) == (0, 1)


def test_tables_of_bytes_are_read():
    table = lookup_table(0, 8, [0, 0])
    table.LUTDescriptor, table.LUTData = [4, 0, 8], bytes([0, 0, 0, 255])
    table["LUTData"].VR = "OW"
    assert set(np.unique(read(RAMP, VOILUTSequence=[table]))) == {0, 1}


@pytest.mark.parametrize("first", [-2048, 2**16 - 2048])
def test_a_modality_table_comes_before_the_window(first):
    stored = RAMP.astype(np.int16) - 2048
    table = lookup_table(first, 16, list(range(0, 8192, 2)))
    pixels = read(stored, ModalityLUTSequence=[table], WindowCenter=4000, WindowWidth=800)
    assert np.array_equal(pixels, read(2 * RAMP, WindowCenter=4000, WindowWidth=800))


@pytest.mark.parametrize("descriptor", [[9, 0, 16], [2, 0, 40], [2, 0]])
def test_a_malformed_table_is_unreadable(descriptor):
    table = lookup_table(0, 16, [1, 2])
    table.LUTDescriptor = descriptor
    with pytest.raises(UnreadableFilmError):
        read(RAMP, VOILUTSequence=[table])


def test_several_frames_are_refused():
    with pytest.raises(UnsupportedFilmError, match="frames"):
        read(np.concatenate([RAMP, RAMP]), Rows=64, NumberOfFrames=2)


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL", "PALETTE COLOR"])
def test_colour_is_refused(photometric):
    samples = 1 if photometric == "PALETTE COLOR" else 3
    colour = np.zeros((8, 8, samples), np.uint8)
    with pytest.raises(UnsupportedFilmError, match="colour"):
        read(colour, PhotometricInterpretation=photometric, SamplesPerPixel=samples)


def test_a_film_without_pixels_is_unreadable():
    dataset = dicom_dataset(RAMP)
    del dataset.PixelData
    with pytest.raises(UnreadableFilmError, match="no pixels"):
        read_radiograph(saved(dataset))


@pytest.mark.parametrize("keyword", ["Rows", "BitsStored", "PhotometricInterpretation"])
def test_a_header_without_what_pixels_need_is_unreadable(keyword):
    dataset = dicom_dataset(RAMP)
    del dataset[keyword]
    with pytest.raises(UnreadableFilmError):
        read_radiograph(saved(dataset))


@pytest.mark.parametrize("kept", [133, 200, 400, -20])
def test_a_truncated_film_is_unreadable(kept):
    with pytest.raises(UnreadableFilmError):
        read_radiograph(dicom(RAMP)[:kept])


def test_a_film_without_preamble_is_not_recognised():
    with pytest.raises(NotAnImageError):
        read_radiograph(dicom(RAMP)[132:])


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.55", MPEG2MPML, "1.9.9"])
def test_an_encoding_that_nothing_decodes_is_unreadable(syntax):
    dataset = dicom_dataset(RAMP, PixelData=encapsulate([bytes(10)]), preamble=bytes(128))
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset["PixelData"].is_undefined_length = True
    film = io.BytesIO()
    pydicom.dcmwrite(film, dataset, implicit_vr=False, little_endian=True)
    with pytest.raises(UnreadableFilmError, match="transfer syntax"):
        read_radiograph(film.getvalue())


@pytest.mark.parametrize("sizes", [{"Rows": 65535, "Columns": 65535}, {"NumberOfFrames": 10**9}])
def test_absurd_sizes_are_refused_by_the_header(sizes):
    with pytest.raises(FilmTooLargeError, match="40000000 pixels"):
        read(RAMP, **sizes)


def test_a_size_written_as_text_is_not_repeated():
    dataset = dicom_dataset(RAMP)
    dataset.add_new("Rows", "LO", "9" * 60)
    with pytest.raises(FilmTooLargeError):
        read_radiograph(saved(dataset))


def test_a_deflated_bomb_is_not_inflated():
    film = dicom(np.zeros((4000, 4000), np.uint8), syntax=DeflatedExplicitVRLittleEndian)
    assert len(film) < 100_000
    with pytest.raises(FilmTooLargeError, match="inflated"):
        read_radiograph(film, max_bytes=1_000_000)


def test_a_jpeg_larger_than_the_dicom_header_says_is_not_decoded():
    small = struct.pack(">II", RAMP.shape[1], RAMP.shape[0])
    film = saved(compressed(JPEG2000Lossless)).replace(small, struct.pack(">II", 60_000, 60_000))
    with pytest.raises(UnreadableFilmError, match="agree on the size"):
        read_radiograph(film)


def test_runs_that_unpack_to_more_than_the_header_says_are_not_decoded():
    header = struct.pack("<16L", 2, 64, 64, *[0] * 13)
    bomb = encapsulate([header + bytes([129, 0]) * 500_000])
    dataset = compressed(RLELossless)
    dataset.PixelData = bomb
    with pytest.raises(UnreadableFilmError, match="malformed"):
        read_radiograph(saved(dataset))


def test_only_the_frame_that_was_checked_is_decoded():
    dataset = compressed(JPEG2000Lossless)
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    dataset.PixelData = encapsulate([frame, b"no JPEG at all"])
    assert np.array_equal(read_radiograph(saved(dataset)).pixels, read(RAMP, BitsStored=12))


def test_pixels_that_are_not_finite_are_unreadable():
    dataset = dicom_dataset(np.float32([[np.nan, 1]]))
    dataset.FloatPixelData = dataset.PixelData
    del dataset.PixelData
    with pytest.raises(UnreadableFilmError, match="finite"):
        read_radiograph(saved(dataset))


def test_neither_log_nor_warning_nor_message_holds_a_header_value(caplog, recwarn):
    caplog.set_level(logging.DEBUG)
    dataset = compressed(JPEG2000Lossless)
    dataset.BitsStored, dataset.HighBit = 14, 13  # pydicom warns of both precisions
    read_radiograph(saved(dataset))
    with pytest.raises(RadiographError) as caught:
        read_radiograph(saved(dataset).replace(b"MONOCHROME2", b"Doe^JaneDoe"))
    assert "Doe" not in str(caught.value)
    assert not caplog.records
    assert not recwarn.list


def test_threads_read_without_disturbing_each_other():
    film = dicom(RAMP, WindowCenter=1000, WindowWidth=600)
    expected = read_radiograph(film).pixels
    with ThreadPoolExecutor(8) as threads:
        films = list(threads.map(read_radiograph, [film] * 64))
    assert all(np.array_equal(radiograph.pixels, expected) for radiograph in films)


@settings(max_examples=300)
@given(
    st.sampled_from([ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless]),
    st.data(),
)
def test_a_mutated_film_gives_a_film_or_a_radiograph_error(syntax, data):
    film = bytearray(saved(compressed(syntax)))
    for place in data.draw(st.lists(st.integers(128, len(film) - 1), min_size=1, max_size=6)):
        film[place] = data.draw(st.integers(0, 255))
    try:
        pixels = read_radiograph(bytes(film)).pixels
    except RadiographError:
        return
    assert ((pixels >= 0) & (pixels <= 1)).all()


def real(shared, name):
    return read_radiograph((shared / "data/dicom" / f"{name}.dcm").read_bytes()).pixels


def test_a_lossless_chest_film_equals_its_uncompressed_twin(shared):
    uncompressed = real(shared, "cr_chest_pa_mono1_explicit_le")
    assert np.array_equal(real(shared, "cr_chest_pa_mono1_j2k_lossless"), uncompressed)
    lossy = real(shared, "cr_chest_pa_mono1_j2k_lossy")
    assert np.abs(lossy - uncompressed).mean() < 0.005


def test_lungs_are_dark_after_monochrome1(shared):
    pixels = real(shared, "cr_chest_pa_mono1_explicit_le")
    rows, columns = pixels.shape
    middle = pixels[rows // 4 : rows // 2]
    lungs = middle[:, [columns // 4, columns * 3 // 4]]
    assert np.median(lungs) < np.median(middle[:, columns // 2]) - 0.05


def test_one_slice_in_every_lossless_encoding_is_the_same(shared):
    expected = real(shared, "ct_slice_mono2_implicit_le")
    encodings = "jpeg_lossless_p14sv1 jpeg_lossless_p14 rle jpegls_lossless deflated big_endian"
    for encoding in encodings.split():
        assert np.array_equal(real(shared, f"ct_slice_mono2_{encoding}"), expected), encoding


def test_the_photometric_tag_is_read(shared):
    film, negative = (
        real(shared, f"cr_chest_pa_{kind}_jpeg_baseline") for kind in ("mono2", "fake_mono1")
    )
    assert np.allclose(film, 1 - negative, atol=1e-6)


def test_real_lookup_tables_do_what_pydicom_does(shared):
    dataset = pydicom.dcmread(shared / "data/dicom/ot_modality_lut_sequence.dcm")
    expected = stretched(apply_modality_lut(dataset.pixel_array, dataset).astype(float))
    assert np.allclose(real(shared, "ot_modality_lut_sequence"), expected, atol=1e-6)
    dataset = pydicom.dcmread(shared / "data/dicom/ot_voi_lut_sequence.dcm")
    expected = apply_voi_lut(dataset.pixel_array, dataset) / 65535
    assert np.allclose(real(shared, "ot_voi_lut_sequence"), expected, atol=1e-6)


UNDECODABLE = {
    "no_pixel_data.dcm": UnreadableFilmError,
    "mr_truncated_pixel_data.dcm": UnreadableFilmError,
    "ct_slice_jpeg_progressive_retired.dcm": UnreadableFilmError,
    "us_palette_color_rle.dcm": UnsupportedFilmError,
    "us_rgb_ybr_rct_j2k_lossless.dcm": UnsupportedFilmError,
}


def test_every_real_file_gives_a_film_or_the_error_meant_for_it(shared):
    folder = shared / "data/dicom"
    with (folder / "files.csv").open() as table:
        names = [row["file"] for row in csv.DictReader(table)]
    for name in names:
        film = (folder / name).read_bytes()
        if name in UNDECODABLE:
            with pytest.raises(UNDECODABLE[name]):
                read_radiograph(film)
        else:
            assert read_radiograph(film).pixels.max() > 0.5, name
