"""The largest batch that fits: a few guesses along a line, then bisection."""

from collections.abc import Callable

from archmodel.training.graph import MAX_BATCH

# Whether a batch fits, and bytes that it needs, as far as these are known.
Fits = Callable[[int], tuple[bool, int]]

FIRST = (1, 16)  # through whose bytes the first line goes
NUM_LINES = 3
LOOK_BEYOND = 4  # batches behind the first that does not fit: a pool with other holes may take one of them


def largest_batch(fits: Fits, capacity_bytes: int) -> int:
    """The largest batch that fits such that none of the next ones does; 0 where not even one image fits.

    Bytes grow with the batch, but not always whether it fits: another batch has other algorithms, and a pool other
    holes.
    """
    search = Search(fits, capacity_bytes)
    search.approach()
    while True:
        search.bisect()
        beyond = [batch for batch in range(search.low + 2, search.low + 1 + LOOK_BEYOND) if batch <= MAX_BATCH]
        better = next((batch for batch in beyond if search.fits(batch)), None)
        if better is None:
            return search.low
        search.low, search.high = better, MAX_BATCH + 1
        search.gallop()


class Search:
    """Between ``low``, which fits (or is 0), and ``high``, which does not (or is beyond all batches)."""

    def __init__(self, fits: Fits, capacity_bytes: int) -> None:
        self.ask, self.capacity_bytes = fits, capacity_bytes
        self.low, self.high = 0, MAX_BATCH + 1
        self.known: dict[int, tuple[bool, int]] = {}

    def fits(self, batch: int) -> bool:
        """Whether a batch fits; asked once."""
        if batch not in self.known:
            self.known[batch] = self.ask(batch)
        return self.known[batch][0]

    def narrow(self, batch: int) -> None:
        """Move the end that a batch belongs to."""
        if self.fits(batch):
            self.low = max(self.low, batch)
        else:
            self.high = min(self.high, batch)

    def approach(self) -> None:
        """Guess along the line through the two nearest batches, then go on from there in growing strides."""
        for batch in FIRST:
            if self.low < batch < self.high:
                self.narrow(batch)
        for _ in range(NUM_LINES):
            guess = self.guess()
            if not self.low < guess < self.high:
                break
            self.narrow(guess)
        self.gallop()

    def guess(self) -> int:
        """Where the line through the two batches whose bytes are nearest to the capacity meets it; 0 without a line."""
        nearest = sorted(self.known, key=lambda batch: abs(self.known[batch][1] - self.capacity_bytes))[:2]
        if len(nearest) < 2:
            return 0
        (one, one_bytes), (other, other_bytes) = ((batch, self.known[batch][1]) for batch in nearest)
        slope = (other_bytes - one_bytes) / (other - one)
        return one + int((self.capacity_bytes - one_bytes) // slope) if slope > 0 else 0

    def gallop(self) -> None:
        """Strides of 1, 2, 4, ... up from what fits until something does not."""
        stride = 1
        while self.high > MAX_BATCH and self.low < MAX_BATCH:
            self.narrow(min(self.low + stride, MAX_BATCH))
            stride *= 2

    def bisect(self) -> None:
        """Halve what is between."""
        while self.high - self.low > 1:
            self.narrow((self.low + self.high) // 2)
