"""Arrays of npz files: what is read, and that whatever is wrong with a file is one line and no harm."""

import io
import os
import pickle
import re
import struct
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest

from archmodel.errors import WorkloadError
from archmodel.exchange import read_network
from archmodel.operands.archive import Archive, mask_and_values, packed_mask

SHAPE = (2, 3)
ARRAY = np.array([[0, 1, 2], [3, 0, -5]], np.int16)


def read(path, key="a", shape=SHAPE):
    return Archive(path).read(key, str(shape), [shape])


def refusal(act, *arguments):
    """The text of the WorkloadError, which is one line, that `act` ends in."""
    with pytest.raises(WorkloadError) as error:
        act(*arguments)
    text = str(error.value)
    assert text.isprintable()
    assert len(text) < 300
    return text


def harmless(path):
    """Whether the array of `path` is read as it was saved; if it is not, a refusal says so."""
    try:
        found = read(path)
    except WorkloadError:
        refusal(read, path)
        return False
    assert np.array_equal(found, ARRAY)
    return True


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.npz"


def npy(array, version=(1, 0), **options):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version, **options)
    return stream.getvalue()


def header(text, magic=b"\x93NUMPY\x01\x00"):
    """The bytes of an npy header that says `text`."""
    return magic + struct.pack("<H", len(text)) + text.encode("latin1")


def described(shape, dtype="'<i2'", order="False"):
    return header(f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}, }}\n")


def zipped(path, *members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i2", ">i4", "i8", "u8", "f2", "f4", ">f8", "g"])
def test_an_array_is_read_as_it_was_saved(path, save, dtype):
    array = np.abs(ARRAY).astype(dtype)
    save(path, a=array, b=np.zeros(9))
    found = read(path)
    assert found.dtype == array.dtype
    assert np.array_equal(found, array)


def test_arrays_in_fortran_order_keep_their_indices(path):
    np.savez(path, a=np.asfortranarray(ARRAY))
    assert np.array_equal(read(path), ARRAY)


def test_one_of_several_shapes_is_enough(path):
    np.savez(path, a=ARRAY)
    assert Archive(path).read("a", "", [(1, 2, 3), SHAPE]).shape == SHAPE


def test_slashes_in_layer_names_are_kept(path):
    np.savez(path, **{"fire2/squeeze1x1.weights": ARRAY})
    assert np.array_equal(read(path, "fire2/squeeze1x1.weights"), ARRAY)


def test_a_pipe_is_refused_at_once(path):
    os.mkfifo(path)
    assert refusal(Archive, path) == "x.npz: is a pipe, not a file"


def test_a_file_that_is_not_there_or_not_an_archive_is_refused(path, tmp_path):
    assert refusal(Archive, path) == "x.npz: No such file or directory"
    path.mkdir()
    assert refusal(Archive, path) == "x.npz: Is a directory"
    for index, data in enumerate([b"", b"PK", b"a text\n" * 9, npy(ARRAY), bytes(100), b"PK\x05\x06" + b"\xff" * 18]):
        other = tmp_path / f"{index}.npz"
        other.write_bytes(data)
        assert refusal(Archive, other) == f"{index}.npz: not an npz archive"


def test_a_name_with_a_line_break_is_shown_in_one_line(tmp_path):
    refusal(Archive, tmp_path / "a\nb\x1b[2J.npz")
    assert refusal(Archive, tmp_path / "a\0.npz").endswith("not an npz archive")
    np.savez(tmp_path / "a\nb.npz", **{"c\nd": ARRAY})
    archive = Archive(tmp_path / "a\nb.npz")
    assert refusal(archive.read, "c\nd", "", [(1,)]).startswith("a b.npz: c d: shape (2, 3)")
    refusal(archive.read, "e\nf", "", [(1,)])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_file_cut_short_anywhere_is_not_an_archive(path, tmp_path, save):
    save(path, a=ARRAY)
    data, cut = path.read_bytes(), tmp_path / "cut.npz"
    assert len(data) > 200
    for length in range(len(data)):
        cut.write_bytes(data[:length])
        assert refusal(Archive, cut) == "cut.npz: not an npz archive"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_flipped_bit_is_noticed_or_does_no_harm(path, tmp_path, save):
    save(path, a=ARRAY)
    data, flipped = path.read_bytes(), tmp_path / "flipped.npz"
    noticed = 0
    for bit in range(0, 8 * len(data), 7):  # every byte, and every bit of one byte or another
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        flipped.write_bytes(changed)
        noticed += not harmless(flipped)
    assert noticed > len(data) // 2


def test_a_flipped_bit_of_the_array_is_a_damaged_array(path):
    zipped(path, ("a.npy", npy(ARRAY)))
    data = path.read_bytes()
    at = data.index(ARRAY.tobytes())
    path.write_bytes(data[:at] + b"\1" + data[at + 1 :])
    assert refusal(read, path) == "x.npz: a: damaged array"


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_compressed_data_is_noticed_or_does_no_harm(path, compression):
    zipped(path, ("a.npy", npy(ARRAY)), compression=compression)
    assert harmless(path)
    data = path.read_bytes()
    start, end = 30 + len("a.npy"), data.index(b"PK\x01\x02")
    noticed = 0
    for at in range(start, end):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        noticed += not harmless(path)
    assert noticed > 0.9 * (end - start)  # LZMA ignores its version and the last bytes


@pytest.mark.parametrize("flag", [0x01, 0x20, 0x40])
def test_encrypted_and_patched_members_are_refused(path, flag):
    zipped(path, ("a.npy", npy(ARRAY)))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= flag
    path.write_bytes(data)
    assert refusal(read, path) == "x.npz: a: damaged array"


def test_a_directory_of_members_beyond_the_file_is_refused(path):
    # zip64 records: 64-bit offset and size of a central directory that starts before the file
    huge = 2**64 - 1
    record = struct.pack("<4sQHHLLQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, huge, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(record + locator + end)
    assert refusal(Archive, path) == "x.npz: not an npz archive"


def test_an_array_that_starts_beyond_all_files_is_refused(path):
    zipped(path, ("a.npy", npy(ARRAY)))
    data = path.read_bytes()
    start, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entry = bytearray(data[start:end] + struct.pack("<HHQ", 1, 8, 2**64 - 1))  # zip64: the offset of the array
    struct.pack_into("<H", entry, 30, 12)
    struct.pack_into("<L", entry, 42, 0xFFFFFFFF)
    tail = bytearray(data[end:])
    struct.pack_into("<L", tail, 12, len(entry))
    path.write_bytes(data[:start] + entry + tail)
    assert Archive(path).keys == {"a": "a.npy"}
    assert refusal(read, path) == "x.npz: a: damaged array"


class Loud:
    """Fails the test when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("an object was unpickled",))


def test_objects_are_refused_and_not_loaded(path):
    array = np.empty(SHAPE, object)
    array[:] = Loud()
    np.savez(path, a=array)
    assert refusal(read, path) == "x.npz: a: type object; allowed: booleans, integers or floats"
    zipped(path, ("a.npy", pickle.dumps(Loud())))
    assert refusal(read, path) == "x.npz: a: damaged array"


@pytest.mark.parametrize(
    ("dtype", "name"),
    [("c8", "complex64"), ("S3", "bytes24"), ("U1", "str32"), ("M8[s]", "datetime64[s]"), ("i2,f4", "void48")],
)
def test_other_types_are_refused(path, dtype, name):
    np.savez(path, a=np.zeros(SHAPE, dtype))
    assert refusal(read, path) == f"x.npz: a: type {name}; allowed: booleans, integers or floats"


@pytest.mark.parametrize("shape", [(3, 2), (6,), (2, 3, 1), (), (0, 3), (0,), (2, 0)])
def test_other_shapes_are_refused(path, shape):
    np.savez(path, a=np.zeros(shape))
    assert refusal(read, path) == f"x.npz: a: shape {shape}; allowed: (2, 3)"


def test_a_huge_shape_is_refused_before_anything_is_allocated(path):
    for shape in ("(4611686018427387904, 4)", "(2, 3, 99999999999999999999)", "(-2, -3)"):
        zipped(path, ("a.npy", described(shape) + ARRAY.tobytes()))
        assert refusal(read, path) == f"x.npz: a: shape {shape}; allowed: (2, 3)"
    zipped(path, ("a.npy", described(f"(0x{'9' * 6000},)")))
    assert refusal(read, path).startswith("x.npz: a: shape <tuple too large to show>")


def peak_bytes(act, *arguments):
    tracemalloc.start()
    text = refusal(act, *arguments)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak, text


def test_no_more_is_unpacked_than_the_shape_needs(path):
    zipped(path, ("a.npy", npy(ARRAY) + bytes(2**25)), compression=zipfile.ZIP_DEFLATED)
    peak, text = peak_bytes(read, path)
    assert text == "x.npz: a: holds more than the 12 bytes of its shape"
    assert peak < 2**20


def test_a_shape_without_its_data_allocates_nothing(path):
    zipped(path, ("a.npy", described("(1048576, 1024)")))
    peak, text = peak_bytes(read, path, "a", (2**20, 2**10))
    assert text == "x.npz: a: holds fewer than the 2147483648 bytes of its shape"
    assert peak < 2**20


def test_a_header_of_version_2_can_be_of_any_size_and_is_refused(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zipped(path, ("a.npy", npy(ARRAY, (2, 0))))
    assert refusal(read, path) == "x.npz: a: npy version 2.0; allowed: 1.0"
    bomb = b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**25) + b" " * 2**25
    zipped(path, ("a.npy", bomb), compression=zipfile.ZIP_DEFLATED)
    assert peak_bytes(read, path)[0] < 2**20


@pytest.mark.parametrize("missing", [1, 5, 11, 12])
def test_an_array_with_fewer_bytes_than_its_shape_is_refused(path, missing):
    zipped(path, ("a.npy", npy(ARRAY)[:-missing]))
    assert refusal(read, path) == "x.npz: a: holds fewer than the 12 bytes of its shape"


def test_an_array_with_one_byte_more_is_refused(path):
    zipped(path, ("a.npy", npy(ARRAY) + b"\0"))
    assert refusal(read, path) == "x.npz: a: holds more than the 12 bytes of its shape"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUM",
        b"not an array at all",
        npy(ARRAY)[:9],
        npy(ARRAY)[:60],
        header(""),
        header("{"),
        header("{'descr': "),
        header("[1, 2]"),
        header("{'descr': '<i2'}"),
        header("{[]: 1}"),
        header("{1: 2, 'a': 3}"),
        header("  {}\n {}"),
        header("-" * 9000 + "1"),
        header("(" * 9000),
        header("x" * 20_000),
        header("'" + "\xff\xfe" * 99),
        described("2, 3"),
        described("(2.0, 3)"),
        described("(2, 3)", order="1"),
        described("(2, 3)", dtype="'unheard of'"),
        described("(2, 3)", dtype="()"),
        described("(2, 3)", dtype="[()]"),
        described("(2, 3)", dtype="7"),
        described("(2, 3)", dtype="{'a': 1}"),
        described("(2, 3)", dtype="'<i2' if 1 else 2"),
    ],
    ids=range(26),
)
def test_a_header_that_is_none_is_a_damaged_array(path, data):
    zipped(path, ("a.npy", data))
    assert refusal(read, path) == "x.npz: a: damaged array"


def test_a_missing_array_names_the_nearest(path):
    np.savez(path, **{"conv1.weights": ARRAY, "conv2.inputs": ARRAY})
    text = refusal(read, path, "conv1.weight")
    assert text == "x.npz: no array 'conv1.weight'; did you mean 'conv1.weights'?"
    assert refusal(read, path, "ip") == "x.npz: no array 'ip'"


def test_only_npy_members_are_arrays(path):
    zipped(path, ("a.npy", npy(ARRAY)), ("readme.txt", b"text"))
    assert list(Archive(path).keys) == ["a"]
    assert refusal(read, path, "readme.txt").startswith("x.npz: no array 'readme.txt'")


def test_a_file_that_vanishes_between_two_reads_is_an_error_too(path):
    np.savez(path, a=ARRAY)
    archive = Archive(path)
    path.unlink()
    assert refusal(archive.read, "a", "", [SHAPE]) == "x.npz: a: damaged array"


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "?"])
def test_floats_and_booleans_give_a_mask_and_no_values(dtype):
    mask, values = mask_and_values(np.array([[0, 1, -0.0]]).astype(dtype))
    assert mask.dtype == np.uint8
    assert mask.tolist() == [[0, 1, 0]]
    assert values is None


def test_a_float_is_non_zero_however_small():
    assert mask_and_values(np.array([5e-324, -5e-324, -0.0]))[0].tolist() == [1, 1, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["f2", "f4", ">f8", "g"])
def test_a_float_that_is_no_number_is_refused(path, dtype, value):
    array = ARRAY.astype(dtype)
    array[1, 2] = value
    np.savez(path, **{"conv1.weights": array})
    text = refusal(read, path, "conv1.weights")
    assert text == "x.npz: conv1.weights: NaN or infinity; allowed: finite numbers"


@pytest.mark.parametrize("dtype", ["i1", "u1", ">i2", "i4", "u4", "i8", "u8"])
def test_integers_give_a_mask_and_their_values(dtype):
    array = np.array([[0, 1], [100, 0]], dtype)
    mask, values = mask_and_values(array)
    assert mask.tolist() == [[0, 1], [1, 0]]
    assert values.dtype == np.int32
    assert values.tolist() == array.tolist()


@pytest.mark.parametrize(
    ("value", "dtype", "known"),
    [
        (2**31 - 1, "i4", True),
        (-(2**31) + 1, "i4", True),
        (-(2**31), "i4", False),  # its negative is beyond int32
        (2**31 - 1, "u4", True),
        (2**31, "u4", False),
        (2**31, "i8", False),
        (-(2**63), "i8", False),
        (2**64 - 1, "u8", False),
    ],
)
def test_values_beyond_32_bits_are_a_mask_only(value, dtype, known):
    mask, values = mask_and_values(np.array([0, value, 1], dtype))
    assert mask.tolist() == [0, 1, 1]
    assert (values is not None) == known
    if known:
        assert values.tolist() == [0, value, 1]


def test_the_mask_of_an_array_in_fortran_order_keeps_its_indices(path):
    np.savez(path, a=np.asfortranarray(ARRAY))
    mask, values = mask_and_values(read(path))
    assert mask.tolist() == [[0, 1, 1], [1, 0, 1]]
    assert np.array_equal(values, ARRAY)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 1, 1), (2, 2, 3, 3), (4, 2, 2, 2)])
def test_a_packed_mask_is_unpacked(path, shape):
    mask = np.random.default_rng(2).integers(0, 2, shape, np.uint8)
    np.savez(path, a=np.packbits(mask))
    assert np.array_equal(packed_mask(path, "a", shape), mask)


def test_a_packed_mask_of_another_size_or_type_is_refused(path):
    np.savez(path, short=np.zeros(2, np.uint8), long=np.zeros(4, np.uint8), wide=np.zeros(3, np.int16))
    shape = (1, 17, 1, 1)
    allowed = "allowed: (3,), one bit a weight, or (1, 17, 1, 1)"
    assert refusal(packed_mask, path, "short", shape) == f"x.npz: short: shape (2,); {allowed}"
    assert refusal(packed_mask, path, "long", shape) == f"x.npz: long: shape (4,); {allowed}"
    assert refusal(packed_mask, path, "wide", shape) == "x.npz: wide: type int16; allowed: uint8, packed bits"


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_mask_may_be_booleans_in_the_layers_shape(path, order):
    mask = np.random.default_rng(2).integers(0, 2, (4, 2, 3, 2), np.uint8)
    np.savez(path, a=np.asarray(mask == 1, order=order), counts=mask)
    found = packed_mask(path, "a", mask.shape)
    assert (found.dtype, found.flags.c_contiguous) == (np.uint8, True)
    assert np.array_equal(found, mask)
    assert refusal(packed_mask, path, "counts", mask.shape) == "x.npz: counts: type uint8; allowed: booleans"


def test_a_mask_that_is_not_in_the_file_is_named():
    network = read_network("squeezenet_pruned")
    assert re.fullmatch(
        r"squeezenet_pruned\.npz: no array 'conv1x'; did you mean 'conv1.?'\?",
        refusal(packed_mask, network.folder / "squeezenet_pruned.npz", "conv1x", (1, 1, 1, 1)),
    )
