"""Fields and codes in a stream of bits without gaps, the most significant bit first, as numpy.packbits has it."""

import numpy as np
from numba import njit

BYTE = np.uint64(8)


@njit(cache=True, nogil=True)
def pack_fields(words, bits):
    """The low `bits` of every word, one behind the other; zeros fill the last byte.

    words : int32[n]; bits : int, 1 to 32
    Returns uint8[ceil(n * bits / 8)].
    """
    packed = np.empty((words.size * bits + 7) // 8, np.uint8)
    low, width = (np.uint64(1) << np.uint64(bits)) - np.uint64(1), np.uint64(bits)
    held, num_held, place = np.uint64(0), np.uint64(0), 0
    for word in words:
        held = held << width | (np.uint64(word) & low)
        num_held += width
        while num_held >= BYTE:
            num_held -= BYTE
            packed[place] = np.uint8(held >> num_held & np.uint64(255))
            place += 1
    if num_held > np.uint64(0):
        packed[place] = np.uint8(held << (BYTE - num_held) & np.uint64(255))
    return packed


@njit(cache=True, nogil=True)
def unpack_fields(packed, num_words, bits):
    """Words of `pack_fields`, without sign: int32[num_words]; a field of 32 bits fills the word.

    packed : uint8[at least ceil(num_words * bits / 8)]
    """
    words = np.empty(num_words, np.int32)
    low, width = (np.uint64(1) << np.uint64(bits)) - np.uint64(1), np.uint64(bits)
    held, num_held, place = np.uint64(0), np.uint64(0), 0
    for index in range(num_words):
        while num_held < width:
            held = held << BYTE | np.uint64(packed[place])
            num_held += BYTE
            place += 1
        num_held -= width
        words[index] = np.int32(held >> num_held & low)
    return words


@njit(cache=True, nogil=True)
def pack_codes(symbols, code, length):
    """A code of variable length for every symbol, one behind the other; zeros fill the last byte.

    symbols : int32[n]; code : uint64[symbols]; length : uint8[symbols], bits of each code, at most 56
    Returns uint8[ceil(bits of all codes / 8)].
    """
    num_bits = np.int64(0)
    for symbol in symbols:
        num_bits += np.int64(length[symbol])
    packed = np.empty((num_bits + 7) // 8, np.uint8)
    held, num_held, place = np.uint64(0), np.uint64(0), 0
    for symbol in symbols:
        width = np.uint64(length[symbol])
        held = held << width | code[symbol]
        num_held += width
        while num_held >= BYTE:
            num_held -= BYTE
            packed[place] = np.uint8(held >> num_held & np.uint64(255))
            place += 1
    if num_held > np.uint64(0):
        packed[place] = np.uint8(held << (BYTE - num_held) & np.uint64(255))
    return packed


@njit(cache=True, nogil=True)
def unpack_codes(packed, num_symbols, num_of_length, symbol_order):
    """Symbols of a canonical code (kernels/huffman.py); fewer than `num_symbols` where the stream ends or has no code.

    packed : uint8[bytes]
    num_of_length : int64[longest + 1], codes of each length, none of length 0
    symbol_order : int32[codes], symbols in the order of their codes
    Returns int32[symbols read].
    """
    symbols = np.empty(num_symbols, np.int32)
    num_bits, bit = packed.size * 8, 0
    for index in range(num_symbols):
        code, first, before, found = 0, 0, 0, False
        for length in range(1, num_of_length.size):
            if bit == num_bits:
                return symbols[:index]
            code = code << 1 | (np.int64(packed[bit >> 3]) >> (7 - (bit & 7)) & 1)
            bit += 1
            first <<= 1
            if code - first < num_of_length[length]:
                symbols[index], found = symbol_order[before + code - first], True
                break
            first += num_of_length[length]
            before += num_of_length[length]
        if not found:
            return symbols[:index]
    return symbols
