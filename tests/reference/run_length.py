"""Naive twin of kernels/compression.py and kernels/vectors.py: read cell by cell, keep a count of zeros."""


def stored_positions(cells, longest_run):
    """Cells that a zero-run code stores: every non-zero, and a zero where the run before it is full already."""
    cells = list(cells)
    while cells and not cells[-1]:
        cells.pop()
    stored, zeros = [], 0
    for position, cell in enumerate(cells):
        if cell or zeros == longest_run:
            stored.append(position)
            zeros = 0
        else:
            zeros += 1
    return stored


def in_vectors(entries, width):
    """Entries in portions of `width`; the last one may be short."""
    vectors = []
    for entry in entries:
        if not vectors or len(vectors[-1]) == width:
            vectors.append([])
        vectors[-1].append(entry)
    return vectors
