"""Expected time of PEs behind a broadcast: every outcome of a PE by its time, no window and no grid."""


def expected_cycles(steps, num_pes, num_steps, vectors, entries, per_cycle):
    """As the kernel says it: the moment at which weights can enter is the expected one."""
    outcomes = [{0.0: 1.0} for _ in steps]
    done, arrived = [0.0], -1.0  # cycles: when the slowest PE was done with each step, when the last vector came
    for step in range(num_steps):
        begin = 0.0
        to_free = (step + 1) * vectors - entries
        if vectors > entries:
            met = done[step] - entries + 1 if step else 0.0
            begin = max(arrived + 1 / per_cycle, met)
            arrived = begin + (vectors - 1) / per_cycle
        elif to_free > 0:
            block = 0
            while to_free > (block + 1) * vectors + 1e-6:
                block += 1
            last_pass = done[block + 1] - vectors
            if last_pass < done[block]:
                last_pass = done[block]
            freed = last_pass + to_free - block * vectors
            begin = max(arrived + 1 / per_cycle, freed - vectors + 1)
            arrived = max(arrived + vectors / per_cycle, freed)
        outcomes = [worked(times, chances, begin, vectors) for times, chances in zip(outcomes, steps, strict=True)]
        done.append(max(done[-1], slowest(outcomes, num_pes)))
    return done[-1]


def worked(times, chances, begin, vectors):
    """Times of a PE after a step that begins no earlier than `begin`."""
    after = {}
    for time, chance in times.items():
        for own, probability in enumerate(chances):
            ended = round(max(time, begin) + own * vectors, 9)
            after[ended] = after.get(ended, 0.0) + chance * probability
    return after


def slowest(outcomes, num_pes):
    """Expected time of the last of all PEs."""
    moments = sorted({time for times in outcomes for time in times})
    expected, before = 0.0, 0.0
    for moment in moments:
        none_later = 1.0
        for times, number in zip(outcomes, num_pes, strict=True):
            none_later *= sum(chance for time, chance in times.items() if time <= moment) ** number
        expected += moment * (none_later - before)
        before = none_later
    return expected
