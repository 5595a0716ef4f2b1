"""Sizes of the transforms of fast convolutions: Winograd's tiles and Fourier transforms."""

from dataclasses import dataclass

# Lavin and Gray, CVPR 2016: which entries of the matrices are not zero, row by row, for m outputs and r = 3 taps.
# Their points are 0, 1, -1, infinity, with 2 and -2 for m = 4. tests/ multiplies with the matrices themselves.
DATA_NONZEROS = {2: (2, 2, 2, 2), 4: (3, 4, 4, 4, 4, 3)}
FILTER_NONZEROS = {2: (1, 3, 3, 1), 4: (1, 3, 3, 3, 3, 1)}
OUTPUT_NONZEROS = {2: (3, 3), 4: (5, 4, 4, 5)}
TAPS = 3

FFT_TILE = 32
BUTTERFLY_OPERATIONS = 6  # a complex multiply-add of radix 2: 4 multiply-adds and 2 additions
COMPLEX_OPERATIONS = 4  # multiply-adds of a complex one


@dataclass(frozen=True)
class WinogradTile:
    """F(m x m, 3 x 3): tiles of (m + 2)^2 words for m^2 outputs; the operations are those of one tile.

    A row of a transform with z entries that are not zero costs z - 1 additions, into which its factors are folded;
    terms that rows have in common are counted for each. Lavin and Gray share them for m = 4.
    """

    m: int

    @property
    def points(self) -> int:
        """Words of a transformed tile."""
        return (self.m + TAPS - 1) ** 2

    @property
    def data_operations(self) -> int:
        """Transform of an input tile."""
        side = self.m + TAPS - 1
        return _additions(DATA_NONZEROS[self.m]) * (side + side)

    @property
    def filter_operations(self) -> int:
        """Transform of a kernel; transposed, what makes a kernel of transformed tiles."""
        return _additions(FILTER_NONZEROS[self.m]) * (TAPS + self.m + TAPS - 1)

    @property
    def output_operations(self) -> int:
        """What makes m^2 outputs of a transformed tile; transposed, the transform of m^2 output gradients."""
        return _additions(OUTPUT_NONZEROS[self.m]) * (self.m + TAPS - 1 + self.m)

    def tiles(self, rows: int, cols: int) -> int:
        """Tiles that cover a plane."""
        return -(-rows // self.m) * -(-cols // self.m)


def _additions(nonzeros: tuple[int, ...]) -> int:
    return sum(count - 1 for count in nonzeros)


@dataclass(frozen=True)
class Fourier:
    """Transforms of real planes of ``rows`` x ``cols`` words, powers of two; half of the frequencies are kept."""

    rows: int
    cols: int

    @staticmethod
    def covering(rows: int, cols: int) -> "Fourier":
        """The smallest that covers a plane."""
        return Fourier(_power_of_two(rows), _power_of_two(cols))

    @property
    def frequencies(self) -> int:
        """Complex words of a transformed plane."""
        return self.rows * (self.cols // 2 + 1)

    @property
    def operations(self) -> int:
        """Of one plane: n/2 log2(n) butterflies of n = rows x cols points, half of them as the plane is real."""
        points = self.rows * self.cols
        return BUTTERFLY_OPERATIONS * points * (points.bit_length() - 1) // 4


def _power_of_two(extent: int) -> int:
    return max(2, 1 << (extent - 1).bit_length())
