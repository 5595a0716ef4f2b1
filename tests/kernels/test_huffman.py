"""Huffman's code against a heap, the entropy and a code by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel.kernels.huffman import canonical_codes, code_counts, code_lengths
from tests.reference.huffman import canonical, least_bits


def lengths_of(counts):
    return code_lengths(np.array(counts, np.int64)).tolist()


def test_a_code_by_hand():
    # 1 and 1 make 2, 2 and 2 make 4, 4 and 4 make 8: the textbook's comb
    assert lengths_of([1, 4, 0, 1, 2]) == [3, 1, 0, 3, 2]
    assert lengths_of([3, 3, 3, 3]) == [2, 2, 2, 2]
    assert lengths_of([5, 0, 5]) == [1, 0, 1]


def test_a_symbol_alone_has_one_bit_and_none_has_none():
    assert lengths_of([0, 7, 0]) == [0, 1, 0]
    assert lengths_of([0, 0]) == [0, 0]


def test_the_longest_code_of_a_tensor_is_that_of_fibonacci_counts():
    counts = [1, 1]
    while sum(counts) + counts[-1] + counts[-2] < 2**31:
        counts.append(counts[-1] + counts[-2])
    assert max(lengths_of(counts)) == len(counts) - 1 == 43


counted = st.lists(st.one_of(st.just(0), st.integers(1, 5), st.integers(1, 10**6)), min_size=1, max_size=70)


@settings(deadline=None, max_examples=300)
@given(counts=counted)
def test_no_code_is_shorter_and_the_entropy_bounds_it(counts):
    lengths = lengths_of(counts)
    total, bits = sum(counts), sum(count * length for count, length in zip(counts, lengths, strict=True))
    assert bits == least_bits(counts)
    assert [length > 0 for length in lengths] == [count > 0 for count in counts]
    if sum(count > 0 for count in counts) > 1:
        assert sum(2.0**-length for length in lengths if length) == 1  # no code is left over
        entropy = -sum(count / total * math.log2(count / total) for count in counts if count)
        assert entropy - 1e-9 <= bits / total < entropy + 1


@settings(deadline=None, max_examples=100)
@given(counts=counted)
def test_codes_count_up_from_the_shortest(counts):
    lengths = code_lengths(np.array(counts, np.int64))
    code, num_of_length, order = canonical_codes(lengths)
    texts = canonical(lengths.tolist())
    shown = [format(int(one), f"0{length}b") if length else "" for one, length in zip(code, lengths, strict=True)]
    assert shown == texts
    in_order = sorted((text for text in texts if text), key=lambda text: (len(text), text))
    assert [texts[symbol] for symbol in order] == in_order
    assert num_of_length.tolist() == [0 if n == 0 else lengths.tolist().count(n) for n in range(64)]


@pytest.mark.parametrize("bits", [1, 4, 8, 16])
def test_counts_are_of_the_low_bits(bits):
    words = np.random.default_rng(bits).integers(-(2**bits), 2**bits, 500).astype(np.int32)
    words[:100] = 0
    expected = [0] * 2**bits
    for word in words.tolist():
        expected[word % 2**bits] += 1
    assert code_counts(words, bits).tolist() == expected
