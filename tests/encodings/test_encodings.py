"""Every format bit by bit: by hand, against a walk over the cells, and back again."""

import zlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from archmodel.encodings.cell_encodings import Bitmask, Coordinate, Dense, ZeroFreeBricks
from archmodel.encodings.codec import Cells
from archmodel.encodings.encoding_sizes import CATALOGUE, CODECS, encode_shared, sizes, smallest
from archmodel.encodings.entropy_codes import Huffman, HuffmanZeroRun, Zlib
from archmodel.encodings.sparse_encodings import CompressedSparse, InterleavedColumns, ZeroRun
from archmodel.errors import WorkloadError
from archmodel.exchange import read_network
from archmodel.validation.published import csv_rows
from archmodel.validation.squeezenet_code import LAYERS_FILE, NET, weight_mask
from tests.reference import encodings as twin
from tests.reference.bit_text import fields_as_bytes

RESTARTS = ("layer", "row", "column", "channel")
ALL = {
    **CATALOGUE,
    **{f"zero_run_1_{restart}": ZeroRun(1, restart) for restart in RESTARTS},
    **{f"zero_run_4_{restart}": ZeroRun(4, restart) for restart in RESTARTS},
    "csr_12": CompressedSparse("row", pointer_bits=12),
    "eie": InterleavedColumns(),
    "interleaved_3": InterleavedColumns(num_pes=3, index_bits=1, pointer_bits=None),
    "huffman_columns": HuffmanZeroRun(ZeroRun(2, "column")),
    "zlib_zero_run": Zlib(ZeroRun()),
    "zlib_windows": Zlib(ZeroRun(), window_bytes=3),
    "bricks_of_3": ZeroFreeBricks(3, 2),
}
MATRIX = np.array([[0, 5, 0, 0], [0, 0, 0, 0], [3, 0, 0, -1]])


def parts(codec, values, bits):
    return {name: list(part) for name, part in codec.encode(np.array(values), bits).parts.items()}


def test_dense_has_every_code():
    assert parts(Dense(), MATRIX, 4) == {"values": [0x05, 0x00, 0x00, 0x00, 0x30, 0x0F]}


def test_a_bitmask_has_a_bit_a_cell_and_zvc_whole_windows():
    assert parts(Bitmask(), MATRIX, 4) == {"mask": [0b01000000, 0b10010000], "values": [0x53, 0xF0]}
    assert parts(Bitmask(32), MATRIX, 4) == {"mask": [0b01000000, 0b10010000, 0, 0], "values": [0x53, 0xF0]}
    # 33 words of 4 bytes, one of them non-zero: two masks of 32 bits, as cDMA has them, and one word
    assert CODECS["zvc"].size_bytes(np.eye(1, 33, dtype=np.uint32), 32) == 2 * 4 + 4


def test_runs_go_on_through_the_layer_or_restart():
    # cells: 0 5 0 0 0 0 0 0 3 0 0 -1
    assert parts(ZeroRun(4), MATRIX, 4) == {"counts": [3], "values": [0x53, 0xF0], "runs": [0x16, 0x20]}
    assert parts(ZeroRun(4, "row"), MATRIX, 4) == {"counts": [1, 0, 2], "values": [0x53, 0xF0], "runs": [0x10, 0x20]}
    # columns: (0 0 3), (5), nothing, (0 0 -1)
    by_column = {"counts": [1, 1, 0, 1], "values": [0x35, 0xF0], "runs": [0x20, 0x20]}
    assert parts(ZeroRun(4, "column"), MATRIX, 4) == by_column
    planes = {"counts": [1, 1], "values": [0x53], "runs": [0b01_10_0000]}
    assert parts(ZeroRun(2, "channel"), [[[[0, 5], [0, 0]], [[0, 0], [3, 0]]]], 4) == planes


def test_a_run_beyond_the_index_stores_a_zero_with_the_longest_run():
    # 2 bits: after 3 zeros a zero is stored, then 2 more zeros and the value
    broken = {"counts": [2], "values": [0b000_111_00], "runs": [0b11_10_0000]}
    assert parts(ZeroRun(2), [0, 0, 0, 0, 0, 0, 7], 3) == broken
    assert parts(ZeroRun(2), [0, 0, 0, 7, 0], 3) == {"counts": [1], "values": [0b111_00000], "runs": [0b11_000000]}


def test_csr_and_csc_have_places_and_pointers():
    # rows of 4: places of 2 bits; columns of 3: places of 2 bits
    csr = {"pointers": [0, 1, 1, 3], "indices": [0b01_00_11_00], "values": [0x53, 0xF0]}
    assert parts(CompressedSparse("row"), MATRIX, 4) == csr
    csc = {"pointers": [0, 1, 2, 2, 3], "indices": [0b10_00_10_00], "values": [0x35, 0xF0]}
    assert parts(CompressedSparse("column"), MATRIX, 4) == csc
    assert parts(CompressedSparse("row", 16), MATRIX, 4)["pointers"] == [0, 0, 0, 1, 0, 1, 0, 3]


@pytest.mark.parametrize(("nonzeros", "pointer_bits"), [(255, 8), (256, 16), (65535, 16), (65536, 32)])
def test_pointers_are_as_wide_as_the_non_zeros_need(nonzeros, pointer_bits):
    values = np.ones(nonzeros, np.int8)
    assert len(CompressedSparse().encode(values, 1).parts["pointers"]) == 2 * pointer_bits // 8
    one_pe = InterleavedColumns(num_pes=1, pointer_bits=None)  # every weight a column of its own
    assert len(one_pe.encode(values, 1).parts["pointers"]) == (nonzeros + 1) * pointer_bits // 8
    assert np.array_equal(one_pe.encode(values, 1).decode(), values)
    assert one_pe.size_bytes(values, 1) == one_pe.encode(values, 1).num_bytes


def test_columns_of_eie_are_dealt_to_its_pes():
    # two PEs: rows 0 and 2 in the first, row 1 in the second, which stores nothing
    eie = {
        "pointers": [0, 0, 0, 1, 0, 2, 0, 2, 0, 3, *[0, 0] * 5],
        "values": [0x35, 0xF0],
        "runs": [0x10, 0x10],
    }
    assert parts(InterleavedColumns(num_pes=2), MATRIX, 4) == eie


def test_coordinates_have_a_field_for_each_dimension():
    # rows 0, 2, 2 and columns 1, 0, 3, of 2 bits each
    expected = {"count": [0, 0, 0, 3], "axis_0": [0b00_10_10_00], "axis_1": [0b01_00_11_00], "values": [0x53, 0xF0]}
    assert parts(Coordinate(), MATRIX, 4) == expected


def test_huffman_has_the_length_of_every_code_and_the_codes():
    # 0 five times, 1 twice, 3 once: 0, 10, 11; lengths 1, 2, 0, 2 in 6 bits each
    assert parts(Huffman(), [0, 1, 0, 3, 0, 0, 0, 1], 2) == {
        "values_book": [0b000001_00, 0b0010_0000, 0b00_000010],
        "values": [0b0_10_0_11_0_0, 0b0_10_00000],
    }
    # one value alone has a bit a cell
    assert parts(Huffman(), [[2, 2, 2]], 2) == {"values_book": [0, 0, 0b01_000000], "values": [0]}


def test_deep_compression_codes_values_and_runs():
    # entries of [0 0 0 0 1, 1, 0 1] with runs of 1 bit: (1, 0), (1, 0), (0, 1), (0, 1), (1, 1)
    coded = parts(HuffmanZeroRun(ZeroRun(1)), [0, 0, 0, 0, 1, 1, 0, 1], 1)
    one_bit_each = [0b000001_00, 0b0001_0000]
    assert coded == {
        "counts": [5],
        "values_book": one_bit_each,
        "values": [0b00111_000],
        "runs_book": one_bit_each,
        "runs": [0b11001_000],
    }


def test_zlib_is_of_the_packed_bytes():
    values = np.tile(MATRIX, (50, 1))
    dense, zvc = Dense().encode(values, 4), Bitmask(32).encode(values, 4)
    assert zlib.decompress(Zlib().encode(values, 4).parts["values"]) == dense.parts["values"]
    packed = Zlib(Bitmask(32)).encode(values, 4)
    assert {name: zlib.decompress(part) for name, part in packed.parts.items()} == zvc.parts
    assert packed.parts["mask"] == zlib.compress(zvc.parts["mask"], 6)


def test_every_window_of_zlib_is_a_stream_that_can_be_read_alone():
    values = np.random.default_rng(0).integers(0, 16, 20_000)
    dense = Dense().encode(values, 4).parts["values"]
    stored = CODECS["zlib_4k"].encode(values, 4)
    streams = [zlib.compress(dense[start : start + 4096], 6) for start in (0, 4096, 8192)]
    assert len(dense) == 10_000
    assert stored.parts == {"values": b"".join(streams)}
    assert zlib.decompress(stored.parts["values"][len(streams[0]) :][: len(streams[1])]) == dense[4096:8192]
    assert Zlib(window_bytes=10_000).encode(values, 4).parts == Zlib().encode(values, 4).parts
    assert Zlib(window_bytes=1000).size_bytes(values, 4) > stored.num_bytes > Zlib().size_bytes(values, 4)


def test_a_window_of_zlib_has_bytes_and_its_streams_end():
    with pytest.raises(WorkloadError, match=r"windows of 0 bytes; allowed: 1 or more"):
        Zlib(window_bytes=0)
    stored = CODECS["zlib_4k"].encode(np.arange(9000), 16)
    cut = {"values": stored.parts["values"][:-1]}
    with pytest.raises(WorkloadError, match=r"a zlib stream ends too early"):
        stored.codec.codes(cut, (9000,), 16)


@pytest.mark.parametrize(("bits", "share"), [(32, 1 / 32), (16, 1 / 16)])
@pytest.mark.parametrize("density", [0, 0.125, 0.5, 0.75, 1])
def test_zvc_is_smaller_by_what_its_paper_says(bits, share, density):
    """A word of 4 bytes has a bit of mask: 1 / (density + 1/32) (Rhu et al., HPCA 2018); one of 2 bytes 1/16."""
    mask = np.tile((np.arange(32) < 32 * density).astype(np.uint8), 1000)
    found = sizes(mask, bits)
    assert found["dense"].num_bytes / found["zvc"].num_bytes == pytest.approx(1 / (density + share), rel=1e-12)


def test_a_brick_has_its_non_zeros_first_and_the_room_of_all():
    # rows of 4 in bricks of 3: (0 5 0) (0), (0 0 0) (0), (3 0 0) (-1)
    stored = parts(ZeroFreeBricks(3, 2), MATRIX, 4)
    assert stored["values"] == [0x50, 0x00, 0x00, 0x00, 0x30, 0x0F]
    assert stored["offsets"] == [0b01_00_10_00, 0b00_01_10_00, 0b00_01_10_00]
    with pytest.raises(WorkloadError, match=r"bricks of 17; allowed with 4 bits of offset: 1 to 16"):
        ZeroFreeBricks(17, 4)


BOOK = np.array([0, -0.5, 0.25], np.float32)


def test_shared_weights_are_indices_and_a_book_of_floats():
    shared = encode_shared(ZeroRun(4), np.array([[0, 2], [1, 0]]), BOOK)
    assert shared.parts["values"] == bytes([0b10_01_0000])  # indices of 2 bits
    assert shared.parts["book"] == bytes([0, 0, 0, 0, 0, 0, 0, 0xBF, 0, 0, 0x80, 0x3E])
    assert shared.num_bytes == 1 + 1 + 1 + 12
    assert shared.decode().tolist() == [[0, 0.25], [-0.5, 0]]
    assert shared.decode().dtype == np.float32
    assert encode_shared(Dense(), np.zeros(9, np.uint8), BOOK[:1]).num_bytes == 2 + 4  # one bit each


# Mostly zeros, in shapes that blocks, rows and columns cut differently, and of every sign and width.
widths = st.sampled_from([1, 2, 3, 4, 7, 8, 13, 16, 32])


@st.composite
def tensors(draw):
    bits, signed = draw(widths), draw(st.booleans())
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    shape = draw(
        st.one_of(
            hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
            st.sampled_from([(90,), (40, 3), (3, 40), (2, 3, 5, 5), (70, 2)]),
        )
    )
    values = st.one_of(st.just(0), st.just(0), st.just(0), st.integers(low, high))
    return draw(hnp.arrays(np.int64, shape, elements=values, fill=st.just(0))), bits


@settings(deadline=None, max_examples=150)
@given(tensor=tensors())
@example(tensor=(np.zeros((), np.int64), 4))
@example(tensor=(np.array(3), 2))
@example(tensor=(np.zeros((0, 4), np.int64), 4))
@example(tensor=(np.zeros((4, 0, 3), np.int64), 4))
@example(tensor=(np.full((5, 7), 15), 4))
@example(tensor=(np.eye(2, 90, k=88, dtype=np.int64), 1))
def test_what_is_stored_is_the_tensor_and_its_size_is_known_before(tensor):
    values, bits = tensor
    mask = (np.asarray(values) != 0).view(np.uint8).reshape(values.shape)
    of_mask = sizes(mask, bits, codecs=ALL)
    of_values = sizes(mask, bits, values, ALL, streams=True)
    for name, codec in ALL.items():
        if bits > codec.widest_bits:
            assert name not in of_values
            continue
        encoded = codec.encode(values, bits)
        decoded = encoded.decode()
        assert decoded.dtype == values.dtype
        assert decoded.shape == values.shape
        assert np.array_equal(decoded, values), name
        assert codec.size_bytes(values, bits) == encoded.num_bytes, name
        assert of_values[name].parts == {part: len(stored) for part, stored in encoded.parts.items()}, name
        assert of_values[name].num_bytes == encoded.num_bytes
        assert (name in of_mask) == (not codec.needs_values)
        if name in of_mask:
            assert of_mask[name].parts == of_values[name].parts, name


@settings(deadline=None, max_examples=100)
@given(tensor=tensors())
def test_every_part_is_that_of_a_walk_over_the_cells(tensor):
    values, bits = tensor
    expected = {
        Dense(): twin.dense(values, bits),
        Bitmask(): twin.bitmask(values, bits, 1),
        Bitmask(32): twin.bitmask(values, bits, 32),
        Coordinate(): twin.coordinate(values, bits),
        CompressedSparse("row"): twin.compressed_sparse(values, bits, "row"),
        CompressedSparse("column"): twin.compressed_sparse(values, bits, "column"),
        InterleavedColumns(): twin.interleaved(values, bits, 64, 4, 16),
        ZeroFreeBricks(): twin.bricks(values, bits, 16, 4),
        ZeroFreeBricks(3, 2): twin.bricks(values, bits, 3, 2),
        CATALOGUE["step_index"]: twin.zero_run(values, bits, 8, "row"),
        InterleavedColumns(3, 1, None): twin.interleaved(values, bits, 3, 1, None),
        **{ZeroRun(2, restart): twin.zero_run(values, bits, 2, restart) for restart in RESTARTS},
    }
    for codec, fields in expected.items():
        stored = {name: fields_as_bytes(words, width) if width else b"" for name, (words, width) in fields.items()}
        assert codec.encode(values, bits).parts == stored, codec


@pytest.mark.parametrize("name", ALL)
def test_floats_are_stored_as_their_bits(name):
    if ALL[name].widest_bits < 32:
        with pytest.raises(WorkloadError, match=r"32 bits a value; allowed: 1 to 16"):
            ALL[name].encode(np.zeros(3, np.uint32), 32)
        return
    floats = np.array([[0, -1.5, 0, 3e38], [0, 0, 1e-45, 0]], np.float32)
    decoded = ALL[name].encode(floats.view(np.uint32), 32).decode()
    assert np.array_equal(decoded.view(np.float32), floats)


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint8, np.int32, np.uint16, np.int64])
def test_the_type_comes_back(dtype):
    values = np.array([[0, 1, 1], [1, 0, 0]], dtype)
    for codec in ALL.values():
        decoded = codec.encode(values, 1).decode()
        assert decoded.dtype == dtype
        assert np.array_equal(decoded, values)


@pytest.mark.parametrize("row", csv_rows(LAYERS_FILE), ids=lambda row: row["layer"])
def test_the_pruned_squeezenet_takes_what_its_released_file_does(row):
    network = read_network(NET)
    layer = network.layer(row["layer"])
    mask = weight_mask(network, layer).reshape(layer.weight_shape)
    entries, nonzeros = int(row["stored_entries"]), int(row["nonzero"])
    found = sizes(mask, 8)
    assert found["zero_run"].parts["values"] == entries  # of 8 bits, beside runs of 4
    assert found["zero_run"].parts["runs"] == -(-entries // 2)
    encoded = ZeroRun().encode(mask, 8)
    stored = np.frombuffer(encoded.parts["values"], np.uint8)
    assert (stored.size, np.count_nonzero(stored == 0)) == (entries, int(row["padding_entries"]))
    assert np.array_equal(encoded.decode(), mask)
    assert found["bitmask"].num_bytes == -(-int(row["params"]) // 8) + nonzeros


def test_the_smallest_format_is_found_and_of_equal_ones_the_first():
    assert smallest(sizes(np.ones((8, 8), np.uint8), 8)) == "dense"
    almost_empty = np.eye(1, 10**6, k=10, dtype=np.uint8)
    assert smallest(sizes(almost_empty, 8)) == "zero_run"
    half = np.tile(np.array([1, 0], np.uint8), (64, 64))
    equal = sizes(half, 8, codecs={"first": Bitmask(), "second": Bitmask(32)})
    assert equal["first"].num_bytes == equal["second"].num_bytes
    assert smallest(equal) == "first"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Dense().encode(np.array([8]), 3), "values 8 to 8; allowed in 3 bits: 0 to 7"),
        (lambda: Dense().encode(np.array([-1, 4]), 3), "values -1 to 4; allowed in 3 bits: -4 to 3"),
        (lambda: Dense().encode(np.array([-5]), 3), "allowed in 3 bits: -4 to 3"),
        (lambda: Dense().encode(np.array([0.5]), 3), "type float64; allowed: whole numbers"),
        (lambda: Dense().encode(np.array([0]), 0), "0 bits a value; allowed: 1 to 32"),
        (lambda: Dense().encode(np.array([0]), 33), "33 bits a value"),
        (lambda: Huffman().encode(np.array([0]), 17), "Huffman: 17 bits a value; allowed: 1 to 16"),
        (lambda: CompressedSparse("row", 2).encode(np.ones((2, 2), np.int8), 1), "pointer of 2 bits; 4 entries need 3"),
        (lambda: InterleavedColumns(1).size_bytes(np.ones((65535, 2), np.int8), 1), "16 bits; 131070 entries need 17"),
        (lambda: InterleavedColumns(1).size_bytes(np.ones((65536, 1), np.int8), 1), "65536 rows in 1 PEs"),
        (lambda: ZeroRun(0), "runs of 0 bits; allowed: 1 to 16"),
        (lambda: InterleavedColumns(index_bits=17), "runs of 17 bits"),
        (lambda: ZeroRun(4, "tile").encode(np.array([1]), 1), "restart at 'tile'; allowed: layer, row"),
        (lambda: sizes(np.zeros(3, np.uint8), 4, np.array([0, 1, 0])), "the mask is not that of the values"),
        (lambda: sizes(np.zeros((1, 3), np.uint8), 4, np.zeros(3, np.int8)), "the mask is not that of the values"),
        (lambda: Huffman().part_bytes(Cells(np.zeros(3, np.uint8), 4)), "only the mask of the tensor is known"),
        (lambda: sizes(np.zeros(3, np.uint8), 0), "0 bits a value"),
        (lambda: sizes(np.zeros(3, np.float32), 8), "type float32"),
        (lambda: encode_shared(Dense(), np.array([0, 2]), BOOK[:2]), "codes 0 to 2; allowed: 0 to 1"),
        (lambda: encode_shared(Dense(), np.array([-1, 1]), BOOK), "codes -1 to 1; allowed: 0 to 2"),
        (lambda: encode_shared(Dense(), np.array([0]), np.array([1, 2], np.float32)), "first of the shared weights"),
    ],
)
def test_what_cannot_be_stored_is_refused_in_one_line(call, message):
    with pytest.raises(WorkloadError, match=message):
        call()


@pytest.mark.parametrize("name", ["dense", "zero_run", "huffman", "huffman_zero_run"])
def test_a_part_that_is_cut_off_is_refused(name):
    encoded = CODECS[name].encode(np.arange(16), 4)
    cut = {part: stored[:-1] for part, stored in encoded.parts.items() if part != "counts"}
    with pytest.raises(WorkloadError, match=r"a part of \d+ bytes"):
        CODECS[name].codes({**encoded.parts, **cut}, (16,), 4)
    if "values_book" in encoded.parts:
        with pytest.raises(WorkloadError, match="values end after"):
            CODECS[name].codes({**encoded.parts, "values": encoded.parts["values"][:-1]}, (16,), 4)
