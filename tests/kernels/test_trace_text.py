"""Text to requests and back, against Python's own reading of it, and lines by hand."""

import numpy as np
import pytest

from archmodel.kernels.trace_text import lines_of_rows, requests_of_lines

LAST = 10**11
NO_LABELS = np.zeros((0, 0), np.uint8)


def read(text, last_cycle=0, max_cycle=LAST):
    codes = np.frombuffer(text, np.uint8)
    cycles, addresses, writes, num_lines, mistake = requests_of_lines(codes, last_cycle, max_cycle)
    return list(zip(cycles.tolist(), addresses.tolist(), writes.tolist(), strict=True)), num_lines, mistake


def test_a_line_is_cycle_address_and_direction():
    assert read(b"0,64,R\n7,0x1f,W\n") == ([(0, 64, False), (7, 31, True)], 2, 0)


def test_blanks_empty_lines_and_small_letters_are_taken():
    assert read(b" 1\t, 0XaF ,\tr \r\n\n \n2,3,w\n") == ([(1, 175, False), (2, 3, True)], 4, 0)


@pytest.mark.parametrize("seed", range(5))
def test_random_lines_are_what_python_reads(seed):
    rng = np.random.default_rng(seed)
    cycles = np.sort(rng.integers(0, LAST, 200))
    addresses = rng.integers(0, 2**63, 200, dtype=np.uint64)
    lines, expected = [], []
    for cycle, address in zip(cycles.tolist(), addresses.tolist(), strict=True):
        address >>= int(rng.integers(0, 63))
        writes = bool(rng.integers(2))
        spelt = (str, hex, lambda value: f"0X{value:X}")[rng.integers(3)](address)
        lines.append(f"{cycle},{spelt},{'W' if writes else 'R'}")
        expected.append((cycle, address, writes))
    assert read(("\n".join(lines) + "\n").encode()) == (expected, 200, 0)


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        (b",1,R", 1), (b"x,1,R", 1), (b"-1,1,R", 1), (b"1 2,1,R", 1), (b"1", 1), (b"1;2;R", 1), (b"0x,1,R", 1),
        (b"\0", 1),
        (b"1,,R", 2), (b"1,-4,R", 2), (b"1,1.5,R", 2), (b"1,0xg,R", 2), (b"1,2", 2), (b"1,1e3,R", 2), (b"1,0x:,R", 2),
        (b"1,9223372036854775808,R", 2), (b"1,0x8000000000000000,R", 2), (b"1,99999999999999999999999,R", 2),
        (b"1,2,", 3), (b"1,2,X", 3), (b"1,2,RW", 3), (b"1,2,R,3", 3), (b"1,2,R 3", 3), (b"1,2,2", 3),
        (b"0,2,R", 4), (b"100000000001,2,R", 5),
    ],
)  # fmt: skip
def test_the_first_mistake_ends_the_reading(line, mistake):
    assert read(b"1,2,R\n\n" + line + b"\n5,6,W\n") == ([(1, 2, False)], 2, mistake)


def test_the_largest_numbers_are_taken():
    text = b"100000000000,9223372036854775807,R\n100000000000,0x7fffffffffffffff,R\n"
    assert read(text) == ([(LAST, 2**63 - 1, False)] * 2, 2, 0)


def test_the_cycle_before_the_text_counts():
    assert read(b"4,0,R\n", last_cycle=4) == ([(4, 0, False)], 1, 0)
    assert read(b"3,0,R\n", last_cycle=4) == ([], 0, 4)
    assert read(b"", last_cycle=4) == ([], 0, 0)


def test_rows_are_decimals_between_commas():
    rows = np.array([[0, 10, 2**63 - 1], [-1, 7, -1]])
    assert lines_of_rows(rows, -1, NO_LABELS).tobytes() == b"0,10,9223372036854775807\n,7,\n"
    assert lines_of_rows(rows[:0], -1, NO_LABELS).tobytes() == b""


def test_labels_stand_for_numbers_of_their_column():
    labels = np.array([list(b"RD\0"), list(b"ACT")], np.uint8)
    assert lines_of_rows(np.array([[1, 1], [0, 0]]), 1, labels).tobytes() == b"1,ACT\n0,RD\n"
    wide = np.frombuffer(b"x" * 40, np.uint8).reshape(1, 40)
    assert lines_of_rows(np.zeros((2, 1), np.int64), 0, wide).tobytes() == (b"x" * 40 + b"\n") * 2
