"""An iteration carried out on symbols: what a step makes is an expression of what it reads, and memory forgets."""


class Symbols:
    """Numbers for expressions, the same for equal ones."""

    def __init__(self):
        self.numbers = {}

    def number(self, *expression):
        return self.numbers.setdefault(expression, len(self.numbers))


def carried_out(steps, saved, symbols):
    """What every step but the repeated ones leaves behind: a list of (layer, operation, {tensor: symbol}).

    ``steps`` are (layer, operation, reads, writes); ``saved`` names the tensors that a forward step leaves beside its
    map. What stands in memory before is what a step reads that nobody has written yet: weights and inputs, if their
    names say so. A tensor is forgotten after the last step that touches it. A forward step that is repeated reads what
    its first run saved, or makes it anew; what it reads must be what its first run made of the same operands.
    """
    last = {}
    for place, (_, _, reads, writes) in enumerate(steps):
        for name in (*reads, *writes):
            last[name] = place
    memory, found = {}, []
    for place, (layer, operation, reads, writes) in enumerate(steps):
        for name in reads:
            if name not in memory and name.split(":")[0] in ("X", "W", "master", "state") and "@" not in name:
                memory[name] = symbols.number("at the start", name)
        if operation in ("forward", "recompute"):
            operands = tuple(memory[name] for name in reads if name not in saved)
            for name in set(reads) & saved:
                assert memory[name] == symbols.number("saved", layer, operands), f"{layer} reads another {name}"
            made = {name: symbols.number("saved" if name in saved else "Y", layer, operands) for name in writes}
        else:
            operands = tuple(memory[name] for name in reads)
            made = {name: symbols.number(operation, layer, place, operands) for place, name in enumerate(writes)}
        memory.update(made)
        if operation != "recompute":
            found.append((layer, operation, made))
        for name in (*reads, *writes):
            if last[name] == place:
                memory.pop(name, None)
    return found
