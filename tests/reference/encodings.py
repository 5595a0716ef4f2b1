"""Naive twin of encodings/cell_encodings.py and sparse_encodings.py: parts as (fields, bits a field), cell by cell."""

import itertools

from tests.reference.run_length import stored_positions


def at(array, place):
    return int(array[place])


def places(shape):
    return list(itertools.product(*(range(length) for length in shape)))


def as_rows(array):
    """Rows of the matrix: lists of values."""
    if array.ndim < 2:
        return [[at(array, place) for place in places(array.shape)]]
    return [[at(array, (row, *rest)) for rest in places(array.shape[1:])] for row in range(array.shape[0])]


def as_columns(array):
    rows = as_rows(array)
    width = len(places(array.shape[1:])) if array.ndim > 1 else len(rows[0])
    return [[row[column] for row in rows] for column in range(width)]


def as_channels(array):
    if array.ndim < 3:
        return as_rows(array)
    planes = places(array.shape[:-2])
    return [[at(array, (*plane, *cell)) for cell in places(array.shape[-2:])] for plane in planes]


def as_layer(array):
    return [[at(array, place) for place in places(array.shape)]]


BLOCKS = {"layer": as_layer, "row": as_rows, "column": as_columns, "channel": as_channels}


def bits_for(number):
    """Of the smallest of the three widths."""
    return 8 if number < 256 else 16 if number < 65536 else 32


def bits_of_place(length):
    bits = 0
    while 2**bits < length:
        bits += 1
    return bits


def dense(array, bits):
    return {"values": (as_layer(array)[0], bits)}


def bitmask(array, bits, window):
    cells = as_layer(array)[0]
    mask = [int(cell != 0) for cell in cells]
    while len(mask) % window:
        mask.append(0)
    return {"mask": (mask, 1), "values": ([cell for cell in cells if cell], bits)}


def coordinate(array, bits):
    held = [place for place in places(array.shape) if at(array, place)]
    axes = {
        f"axis_{axis}": ([place[axis] for place in held], bits_of_place(length))
        for axis, length in enumerate(array.shape)
    }
    return {"count": ([len(held)], 32), **axes, "values": ([at(array, place) for place in held], bits)}


def stored(block, index_bits):
    """(run, value) of a block."""
    entries, before = [], -1
    for position in stored_positions(block, 2**index_bits - 1):
        entries.append((position - before - 1, block[position]))
        before = position
    return entries


def zero_run(array, bits, index_bits, restart):
    blocks = BLOCKS[restart](array)
    entries = [stored(block, index_bits) for block in blocks]
    longest = len(blocks[0]) if blocks else {"row": 0, "column": array.shape[0], "channel": 0}[restart]
    everything = [entry for block in entries for entry in block]
    return {
        "counts": ([len(block) for block in entries], bits_for(longest)),
        "values": ([value for _, value in everything], bits),
        "runs": ([run for run, _ in everything], index_bits),
    }


def compressed_sparse(array, bits, by):
    pointers, indices, values = [0], [], []
    for block in BLOCKS[by](array):
        for place, value in enumerate(block):
            if value:
                indices.append(place)
                values.append(value)
        pointers.append(len(values))
    length = len(as_rows(array)) if by == "column" else len(as_columns(array))
    return {
        "pointers": (pointers, bits_for(len(values))),
        "indices": (indices, bits_of_place(length)),
        "values": (values, bits),
    }


def interleaved(array, bits, num_pes, index_bits, pointer_bits):
    pointers, runs, values, fullest = [], [], [], 0
    for pe in range(num_pes):
        held = 0
        pointers.append(held)
        for column in as_columns(array):
            for run, value in stored(column[pe::num_pes], index_bits):
                runs.append(run)
                values.append(value)
                held += 1
            pointers.append(held)
        fullest = max(fullest, held)
    return {
        "pointers": (pointers, pointer_bits or bits_for(fullest)),
        "values": (values, bits),
        "runs": (runs, index_bits),
    }


def bricks(array, bits, brick, offset_bits):
    values, offsets = [], []
    for row in as_rows(array):
        for first in range(0, len(row), brick):
            cells = list(enumerate(row[first : first + brick]))
            for offset, value in [one for one in cells if one[1]] + [one for one in cells if not one[1]]:
                values.append(value)
                offsets.append(offset)
    return {"values": (values, bits), "offsets": (offsets, offset_bits)}
