"""Fields and codes without gaps, against bits as text, and bits by hand."""

import numpy as np
import pytest

from archmodel.kernels.bit_stream import pack_codes, pack_fields, unpack_codes, unpack_fields
from archmodel.kernels.huffman import canonical_codes
from tests.reference.bit_text import fields_as_bytes, text_as_bytes
from tests.reference.huffman import canonical


def test_the_first_field_is_in_the_highest_bits():
    assert pack_fields(np.array([1, 2, 3], np.int32), 2).tolist() == [0b01_10_11_00]
    assert pack_fields(np.array([5, -1, 0, 1], np.int32), 3).tolist() == [0b101_111_00, 0b0_001_0000]
    assert pack_fields(np.array([0x1234], np.int32), 16).tolist() == [0x12, 0x34]
    assert pack_fields(np.array([-2], np.int32), 32).tolist() == [255, 255, 255, 254]


@pytest.mark.parametrize("bits", range(1, 33))
def test_fields_are_packed_as_text_and_come_back_without_sign(bits):
    rng = np.random.default_rng(bits)
    for num_words in (0, 1, 7, 8, 9, 65):
        words = rng.integers(-(2**31), 2**31, num_words).astype(np.int32)
        packed = pack_fields(words, bits)
        assert packed.tobytes() == fields_as_bytes(words, bits)
        unpacked = unpack_fields(packed, num_words, bits)
        assert unpacked.view(np.uint32).tolist() == [int(word) % 2**bits for word in words]


LENGTHS = np.array([2, 0, 1, 3, 3], np.uint8)  # 10, none, 0, 110, 111


def test_codes_follow_each_other_without_gaps():
    code, num_of_length, order = canonical_codes(LENGTHS)
    symbols = np.array([4, 2, 0, 3, 2], np.int32)
    packed = pack_codes(symbols, code, LENGTHS)
    assert packed.tolist() == [0b111_0_10_11, 0b0_0_000000]
    assert unpack_codes(packed, 5, num_of_length, order).tolist() == symbols.tolist()


def test_a_stream_that_ends_or_has_no_such_code_gives_what_was_read():
    _, num_of_length, order = canonical_codes(LENGTHS)
    assert unpack_codes(np.array([0b111_0_10_11], np.uint8), 5, num_of_length, order).tolist() == [4, 2, 0]
    _, alone, order = canonical_codes(np.array([0, 1], np.uint8))  # 0 is symbol 1, and 1 is nothing
    assert unpack_codes(np.array([0b00100000], np.uint8), 4, alone, order).tolist() == [1, 1]
    assert unpack_codes(np.zeros(0, np.uint8), 1, alone, order).tolist() == []


@pytest.mark.parametrize("longest", [1, 5, 44])
def test_codes_are_packed_as_text_however_long(longest):
    lengths = np.array([*range(1, longest + 1), longest], np.uint8)  # one code of each length, the last twice
    code, num_of_length, order = canonical_codes(lengths)
    texts = canonical(lengths.tolist())
    symbols = np.random.default_rng(longest).integers(0, lengths.size, 200).astype(np.int32)
    packed = pack_codes(symbols, code, lengths)
    assert packed.tobytes() == text_as_bytes("".join(texts[symbol] for symbol in symbols))
    assert unpack_codes(packed, symbols.size, num_of_length, order).tolist() == symbols.tolist()
