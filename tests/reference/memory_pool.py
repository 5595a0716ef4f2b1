"""A best-fit pool as a row of cells, each of the size of the alignment, that belong to somebody or to nobody."""


class CellPool:
    def __init__(self, alignment_bytes):
        self.alignment_bytes = alignment_bytes
        self.cells = []

    def free_runs(self):
        """Start and length of every run of free cells."""
        runs, start = [], None
        for place, owner in enumerate([*self.cells, "nobody's end"]):
            if owner is None and start is None:
                start = place
            elif owner is not None and start is not None:
                runs.append((start, place - start))
                start = None
        return runs

    def allocate(self, name, num_bytes):
        wanted = 1
        while wanted * self.alignment_bytes < num_bytes:
            wanted += 1
        start = None
        for length in range(wanted, len(self.cells) + 1):
            starts = [begin for begin, found in self.free_runs() if found == length]
            if starts:
                start = starts[0]
                break
        if start is None:
            start = len(self.cells)
            while start and self.cells[start - 1] is None:
                start -= 1
            self.cells += [None] * (start + wanted - len(self.cells))
        for place in range(start, start + wanted):
            assert self.cells[place] is None
            self.cells[place] = name
        return start * self.alignment_bytes

    def free(self, name):
        self.cells = [None if owner == name else owner for owner in self.cells]

    @property
    def reserved_bytes(self):
        return len(self.cells) * self.alignment_bytes
