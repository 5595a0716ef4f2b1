"""Naive twin of the packets of archmodel/interconnect/pcie.py: byte by byte, from the first address to the last."""


def cut(addresses, ends):
    """Runs of addresses; `ends(start, address)` says whether a run that began at `start` ends with `address`."""
    runs, start = [], None
    for address in addresses:
        start = address if start is None else start
        if ends(start, address):
            runs.append(range(start, address + 1))
            start = None
    if start is not None:
        runs.append(range(start, addresses[-1] + 1))
    return runs


def aligned(addresses, size):
    """Runs that end below multiples of `size`."""
    return cut(addresses, lambda start, address: (address + 1) % size == 0)


def writes(num_bytes, offset, max_payload):
    return len(aligned(range(offset, offset + num_bytes), max_payload))


def reads(num_bytes, offset, max_request):
    return len(aligned(range(offset, offset + num_bytes), max_request))


def completions(num_bytes, offset, max_request, most, boundary):
    """Of every request: runs of at most `most` bytes that end below the last multiple of the boundary in reach."""
    count = 0
    for request in aligned(range(offset, offset + num_bytes), max_request):

        def ends(start, address):
            further = address + 1 + boundary - start  # bytes of the run up to the next multiple behind this one
            return (address + 1) % boundary == 0 and further > most

        count += len(cut(request, ends))
    return count
