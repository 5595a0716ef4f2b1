"""Lines of text to memory requests, and rows of numbers to lines of text: millions of them in a second."""

import numpy as np
from numba import njit

# What is wrong with a line: 0, nothing.
BAD_CYCLE, BAD_ADDRESS, BAD_DIRECTION, EARLIER_CYCLE, LATE_CYCLE = 1, 2, 3, 4, 5
NEWLINE, RETURN, SPACE, TAB, COMMA, ZERO = 10, 13, 32, 9, 44, 48
LARGEST = 2**63 - 1


@njit(cache=True)
def requests_of_lines(text, last_cycle, max_cycle):
    """Requests of lines `cycle,address,R|W`: numbers are decimal or 0x, blanks around them and empty lines allowed.

    Parameters
    ----------
    text : uint8[n]      whole lines, each with its newline
    last_cycle : int     of the request before these; cycles do not fall
    max_cycle : int      the last that is allowed

    Returns
    -------
    int64[m], int64[m], bool[m]   cycle and address of each request, whether it writes
    int                           lines before the first mistake, or all
    int                           what is wrong with that line: 0, or one of the five above
    """
    num_lines = 0
    for at in range(text.size):
        num_lines += text[at] == NEWLINE
    cycles, addresses = np.empty(num_lines, np.int64), np.empty(num_lines, np.int64)
    is_write = np.empty(num_lines, np.bool_)
    count, line, at, mistake = 0, 0, 0, 0
    while at < text.size:
        at = after_blanks(text, at)
        if text[at] != NEWLINE:
            cycle, at = number_at(text, at)
            if cycle < 0 or text[at] != COMMA:
                mistake = BAD_CYCLE
                break
            address, at = number_at(text, after_blanks(text, at + 1))
            if address < 0 or text[at] != COMMA:
                mistake = BAD_ADDRESS
                break
            at = after_blanks(text, at + 1)
            letter = int(text[at]) & ~32  # upper case
            at = after_blanks(text, at + (text[at] != NEWLINE))
            if (letter != 82 and letter != 87) or text[at] != NEWLINE:  # R, W
                mistake = BAD_DIRECTION
                break
            if cycle < last_cycle or cycle > max_cycle:
                mistake = EARLIER_CYCLE if cycle < last_cycle else LATE_CYCLE
                break
            cycles[count], addresses[count], is_write[count] = cycle, address, letter == 87
            count, last_cycle = count + 1, cycle
        line, at = line + 1, at + 1
    return cycles[:count], addresses[:count], is_write[:count], line, mistake


@njit(cache=True)
def after_blanks(text, at):
    """The place of the first character that is no blank."""
    while text[at] == SPACE or text[at] == TAB or text[at] == RETURN:
        at += 1
    return at


@njit(cache=True)
def number_at(text, at):
    """The number that begins at a place, -1 if none does or it has over 63 bits, and where blanks behind it end."""
    base, start, value = 10, at, 0
    if text[at] == ZERO and (int(text[at + 1]) | 32) == 120:  # 0x
        base, start = 16, at + 2
    at = start
    while True:
        digit = int(text[at]) - ZERO
        if digit > 9 and base == 16:
            digit = (int(text[at]) | 32) - 87  # a is 10
            digit = digit if digit >= 10 else -1
        if digit < 0 or digit >= base:
            break
        if value > (LARGEST - digit) // base:
            return -1, at
        value, at = value * base + digit, at + 1
    return (value if at > start else -1), after_blanks(text, at)


@njit(cache=True)
def lines_of_rows(numbers, label_column, labels):
    """Comma-separated decimals, a line a row; a number below 0 is an empty field.

    Parameters
    ----------
    numbers : int64[n, k]
    label_column : int       the column whose numbers stand for labels, -1 if there is none
    labels : uint8[m, w]     texts, filled up with 0

    Returns
    -------
    uint8[bytes]
    """
    num_rows, num_columns = numbers.shape
    text = np.empty(num_rows * num_columns * max(20, labels.shape[1] + 1), np.uint8)
    digits = np.empty(20, np.uint8)
    size = 0
    for row in range(num_rows):
        for column in range(num_columns):
            value = numbers[row, column]
            if column == label_column:
                for place in range(labels.shape[1]):
                    if labels[value, place]:
                        text[size] = labels[value, place]
                        size += 1
            elif value >= 0:
                count = 0
                while value > 0 or count == 0:
                    digits[count] = ZERO + value % 10
                    value, count = value // 10, count + 1
                for place in range(count):
                    text[size + place] = digits[count - 1 - place]
                size += count
            text[size] = COMMA if column < num_columns - 1 else NEWLINE
            size += 1
    return text[:size]
