"""Correlations of the cells of a mask, pair by pair."""

from itertools import product


def pair_correlation(cells, pairs):
    """Mean product of the deviations of the two cells of a pair, over the variance of all cells.

    `cells` maps a position to 0 or 1, `pairs(a, b)` says whether two positions are a pair.
    """
    density = sum(cells.values()) / len(cells)
    products = [
        (cells[a] - density) * (cells[b] - density) for a, b in product(cells, cells) if a != b and pairs(a, b)
    ]
    return sum(products) / len(products) / (density * (1 - density))


def neighbour_correlation(planes, down, right):
    """Of cells a number of rows and columns apart, each against the density of its own plane [rows][columns]."""
    products, squares = [], []
    for plane in planes:
        values = [value for row in plane for value in row]
        density = sum(values) / len(values)
        squares += [(value - density) ** 2 for value in values]
        for y in range(len(plane) - down):
            for x in range(len(plane[0]) - right):
                products.append((plane[y][x] - density) * (plane[y + down][x + right] - density))
    return sum(products) / len(products) / (sum(squares) / len(squares))


def position_correlation(channels):
    """Of one position in two channels, each a list of its cells, against the channels' own densities and deviations."""
    covariances, scales = 0.0, 0.0
    for first, second in product(range(len(channels)), repeat=2):
        if first == second:
            continue
        a, b = channels[first], channels[second]
        p, q = sum(a) / len(a), sum(b) / len(b)
        covariances += sum((x - p) * (y - q) for x, y in zip(a, b, strict=True)) / len(a)
        scales += (p * (1 - p) * q * (1 - q)) ** 0.5
    return covariances / scales


def neighbours_of_a_plane(correlation, rows, columns):
    """Expected correlation of horizontal neighbours against their plane's mean, walking all pairs of cells.

    `correlation(distance)` is that of cells `distance` rows and columns apart, 1 at 0.
    """
    cells = list(product(range(rows), range(columns)))
    common = sum(correlation(abs(a - c) + abs(b - d)) for (a, b), (c, d) in product(cells, cells)) / len(cells) ** 2
    return (correlation(1) - common) / (correlation(0) - common)
