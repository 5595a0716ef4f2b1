"""Proof that a list of DRAM commands breaks no rule of its part, from the list alone: every command looks back.

A part is a dict with the tables `organization`, `timing`, `mapping`, `controller` of a file of configs/memory; a
command is (cycle, channel, rank, bank group, bank, command, row), where a RD or WR may say -1 for the row that is open.
RDA and WRA, or RD and WR of a part with closed pages, precharge their bank by themselves. A violation is a sentence.
Per scope only what can still matter is kept: of the earlier commands of one kind in one place the latest asks for most.
"""

from collections import defaultdict, deque

KINDS = {"ACT", "PRE", "PREA", "RD", "WR", "RDA", "WRA", "REF", "REFB"}


class Bank:
    def __init__(self):
        self.row = None
        self.act = self.read = self.write = self.precharge = self.refresh = None
        self.refreshes = []


class Group:
    def __init__(self):
        self.act = self.read = self.write = None


class Rank:
    def __init__(self):
        self.acts = deque(maxlen=32)
        self.read = self.write = self.precharge = self.refresh = None
        self.precharged = None  # when the last bank of the rank began its precharge, by whatever command
        self.refreshes = []


class Channel:
    def __init__(self, part, number, found):
        organization, self.timing = part["organization"], part["timing"]
        self.number, self.found = number, found
        self.closed_pages = part["controller"]["page_policy"] == "closed"
        self.two_buses = organization["command_buses"] == 2
        self.shape = organization["ranks"], organization["bank_groups"], organization["banks_per_group"]
        self.burst = organization["burst_cycles"]
        self.RL, self.WL = self.timing["CL"], self.timing["CWL"]
        self.ranks = defaultdict(Rank)
        self.groups = defaultdict(Group)
        self.banks = defaultdict(Bank)
        self.bank_refresh = None
        self.bursts = deque()  # (cycle after the last on the data bus, rank, is a write, cycle of the command)
        self.on_bus = {}
        self.latest = 0

    # One sentence for one broken rule

    def blame(self, text):
        name, cycle, place = self.now
        self.found.append(f"{name} at {cycle} to {place}: {text}")

    def gap(self, rule, before, least):
        """The cycle `before` of an earlier command, or None, is `least` cycles or more ago."""
        if before is not None and self.now[1] < before + least:
            self.blame(f"{rule}: {before + least - self.now[1]} too early, {least} cycles from {before} on")

    # Commands

    def look(self, cycle, rank, group, bank, name, row):
        place = f"channel {self.number} rank {rank}"
        if name not in ("PREA", "REF"):
            place += f" bank group {group} bank {bank}"
        self.now = name, cycle, place
        if name not in KINDS:
            self.blame("no such command")
            return
        ranks, groups, banks = self.shape
        if not 0 <= rank < ranks or (name not in ("PREA", "REF") and not (0 <= group < groups and 0 <= bank < banks)):
            self.blame("no such place")
            return
        if cycle < self.latest:
            self.blame(f"out of order, after a command at {self.latest}")
        self.latest = max(self.latest, cycle)
        is_column = name in ("RD", "WR", "RDA", "WRA")
        bus = "column" if is_column and self.two_buses else "command"
        if self.on_bus.get(bus) == cycle:
            self.blame(f"{bus} bus: a second command in one cycle")
        self.on_bus[bus] = cycle
        if is_column:
            self.column(cycle, rank, group, bank, row, name)
        elif name == "ACT":
            self.activate(cycle, rank, group, bank, row)
        elif name == "PRE":
            self.precharge(cycle, rank, group, bank)
        elif name == "PREA":
            self.precharge_all(cycle, rank)
        elif name == "REF":
            self.refresh_rank(cycle, rank)
        else:
            self.refresh_bank(cycle, rank, group, bank)

    def activate(self, cycle, rank_number, group_number, bank_number, row):
        timing = self.timing
        rank = self.ranks[rank_number]
        group = self.groups[rank_number, group_number]
        bank = self.banks[rank_number, group_number, bank_number]
        if bank.row is not None:
            self.blame(f"row {bank.row} is open")
        self.gap("tRC", bank.act, timing["tRC"])
        self.gap("tRP", bank.precharge, timing["tRP"])
        if bank.refresh is not None:
            self.gap("tRFCB", bank.refresh, timing["tRFCB"])
        self.gap("tRRD_L", group.act, timing["tRRD_L"])
        self.gap("tRFC", rank.refresh, timing["tRFC"])
        acts = rank.acts
        if acts:
            self.gap("tRRD_S", acts[-1], timing["tRRD_S"])
        if len(acts) >= 4:
            self.gap("tFAW", acts[-4], timing["tFAW"])
        if len(acts) >= 32 and "t32AW" in timing:
            self.gap("t32AW", acts[-32], timing["t32AW"])
        acts.append(cycle)
        bank.row, bank.act, group.act = row, cycle, cycle

    def may_precharge(self, bank):
        self.gap("tRAS", bank.act, self.timing["tRAS"])
        self.gap("tRTP", bank.read, self.timing["tRTP"])
        self.gap("tWR", bank.write, self.WL + self.burst + self.timing["tWR"])

    def precharge(self, cycle, rank_number, group_number, bank_number):
        rank, bank = self.ranks[rank_number], self.banks[rank_number, group_number, bank_number]
        if bank.row is None:
            self.blame("no row is open")
        self.may_precharge(bank)
        self.gap("tPPD", rank.precharge, self.timing.get("tPPD", 0))
        bank.row, bank.precharge, rank.precharge = None, cycle, cycle
        rank.precharged = max(cycle, rank.precharged or 0)

    def precharge_all(self, cycle, rank_number):
        rank = self.ranks[rank_number]
        banks = [bank for place, bank in self.banks.items() if place[0] == rank_number and bank.row is not None]
        if not banks:
            self.blame("no row is open")
        self.gap("tPPD", rank.precharge, self.timing.get("tPPD", 0))
        for bank in banks:
            self.may_precharge(bank)
            bank.row, bank.precharge = None, cycle
        rank.precharge = cycle
        rank.precharged = max(cycle, rank.precharged or 0)

    def refresh_rank(self, cycle, rank_number):
        rank = self.ranks[rank_number]
        for place, bank in self.banks.items():
            if place[0] == rank_number and bank.row is not None:
                self.blame(f"row {bank.row} of bank group {place[1]} bank {place[2]} is open")
        self.gap("tRP", rank.precharged, self.timing["tRP"])
        self.gap("tRFC", rank.refresh, self.timing["tRFC"])
        rank.refresh = cycle
        rank.refreshes.append(cycle)

    def refresh_bank(self, cycle, rank_number, group_number, bank_number):
        bank = self.banks[rank_number, group_number, bank_number]
        if bank.row is not None:
            self.blame(f"row {bank.row} is open")
        if "tRFCB" not in self.timing:
            self.blame("the part has no tRFCB")
            return
        self.gap("tRP", bank.precharge, self.timing["tRP"])
        self.gap("tRFCB", self.bank_refresh, self.timing["tRFCB"])
        bank.refresh = self.bank_refresh = cycle
        bank.refreshes.append(cycle)

    def column(self, cycle, rank_number, group_number, bank_number, row, name):
        timing, burst = self.timing, self.burst
        rank = self.ranks[rank_number]
        group = self.groups[rank_number, group_number]
        bank = self.banks[rank_number, group_number, bank_number]
        is_write = name in ("WR", "WRA")
        if bank.row is None:
            self.blame("no row is open")
        elif row not in (bank.row, -1):
            self.blame(f"row {bank.row} is open, not {row}")
        if is_write:
            self.gap("tRCDWR", bank.act, timing["tRCDWR"])
            self.gap("tCCD_L", group.write, timing["tCCD_L"])
            self.gap("tCCD_S", rank.write, timing["tCCD_S"])
        else:
            self.gap("tRCDRD", bank.act, timing["tRCDRD"])
            self.gap("tCCD_L", group.read, timing["tCCD_L"])
            self.gap("tCCD_S", rank.read, timing["tCCD_S"])
            self.gap("tWTR_L", group.write, self.WL + burst + timing["tWTR_L"])
            self.gap("tWTR_S", rank.write, self.WL + burst + timing["tWTR_S"])
        self.data_bus(cycle, rank_number, is_write)
        for scope in (rank, group, bank):
            if is_write:
                scope.write = cycle
            else:
                scope.read = cycle
        if self.closed_pages or name in ("RDA", "WRA"):
            recovered = cycle + (self.WL + burst + timing["tWR"] if is_write else timing["tRTP"])
            bank.row, bank.precharge = None, max(recovered, (bank.act or 0) + timing["tRAS"])
            rank.precharged = max(bank.precharge, rank.precharged or 0)

    def data_bus(self, cycle, rank, is_write):
        """Bursts in the order of their commands; tRTRS from reads to writes and between ranks, but not of writes."""
        begin = cycle + (self.WL if is_write else self.RL)
        turnaround, soonest = self.timing["tRTRS"], cycle + min(self.RL, self.WL)
        while self.bursts and self.bursts[0][0] + turnaround <= soonest:
            self.bursts.popleft()
        for other_end, other_rank, other_writes, other_cycle in self.bursts:
            if rank == other_rank:
                gap = turnaround if is_write and not other_writes else 0  # tWTR holds the rank's own reads back
            else:
                gap = 0 if is_write and other_writes else turnaround
            if begin < other_end + gap:
                other = "write" if other_writes else "read"
                self.blame(
                    f"data bus: from {begin} on, the {other} of {other_cycle} and a gap need it to {other_end + gap}"
                )
        self.bursts.append((begin + self.burst, rank, is_write, cycle))


def refresh_allowance(part):
    """Cycles that a refresh may come late: open banks end their work and precharge, other refreshes go first."""
    organization, timing = part["organization"], part["timing"]
    written = timing["CWL"] + organization["burst_cycles"] + timing["tWR"]
    busy = max(timing["tRAS"], timing["tRTP"], written) + timing["tRP"] + timing.get("tPPD", 0)
    if part["controller"]["refresh"] == "per_bank":
        busy += timing["tRFCB"]
    return busy + 2 * organization["ranks"]


def late_refreshes(part, channels, until, allowance):
    organization, timing = part["organization"], part["timing"]
    kind = part["controller"]["refresh"]
    num_ranks, num_groups, num_banks = (organization[key] for key in ("ranks", "bank_groups", "banks_per_group"))
    for channel in channels.values():
        places = []  # (name, first due, every, cycles of the refreshes)
        if kind == "all_bank":
            every = timing["tREFI"]
            for rank in range(num_ranks):
                due = every + rank * every // num_ranks
                places.append((f"rank {rank}", due, every, channel.ranks[rank].refreshes))
        elif kind == "per_bank":
            every = timing["tREFIB"] * num_ranks * num_groups * num_banks
            for position in range(num_ranks * num_groups * num_banks):
                rank, rest = divmod(position, num_groups * num_banks)
                group, bank = divmod(rest, num_banks)
                name = f"rank {rank} bank group {group} bank {bank}"
                due = (position + 1) * timing["tREFIB"]
                places.append((name, due, every, channel.banks[rank, group, bank].refreshes))
        end = channel.latest if until is None else until
        for name, due, every, refreshes in places:
            done = iter(refreshes)
            while due + allowance < end:
                cycle = next(done, None)
                if cycle is None or cycle > due + allowance:
                    when = "has not come" if cycle is None else f"comes at {cycle}"
                    what = f"the refresh due at {due} {when}, {allowance} cycles are allowed"
                    yield f"channel {channel.number} {name}: {what}"
                due += every


def located(part, address):
    """Granule, (channel, rank, bank group, bank, row) of an address: fields taken off from the lowest one on."""
    organization = part["organization"]
    sizes = {
        "ro": organization["rows"],
        "ra": organization["ranks"],
        "bg": organization["bank_groups"],
        "ba": organization["banks_per_group"],
        "ch": organization["channels"] * organization["stacks"],
        "co": organization["columns"] // organization["burst_length"],
    }
    rest = address * 8 // (organization["bus_bits"] * organization["burst_length"])
    order, value = part["mapping"]["order"], {}
    for position in range(10, -1, -2):
        field = order[position : position + 2]
        rest, value[field] = divmod(rest, sizes[field])
    place = tuple(value[field] for field in ("ch", "ra", "bg", "ba", "ro"))
    return (*place, value["co"]), place


def misplaced_requests(part, commands, requests, entered, completed):
    """Every request has one column command at its address, or is a read that a waiting write answers."""
    burst = part["organization"]["burst_cycles"]
    delays = {True: part["timing"]["CWL"] + burst, False: part["timing"]["CL"] + burst}
    separate = part["controller"]["queue"] == "separate"
    columns = {}  # (channel, cycle, is a write) -> place of the command
    opened = {}
    for cycle, channel, rank, group, bank, name, row in commands:
        if name == "ACT":
            opened[channel, rank, group, bank] = row
        elif name in ("RD", "WR", "RDA", "WRA"):
            row = opened.get((channel, rank, group, bank), -1) if row == -1 else row
            columns[channel, cycle, name[:2] == "WR"] = (channel, rank, group, bank, row)
    before = defaultdict(list)  # granule -> (entered, served, is a write) of the requests before this one
    in_order = part["controller"]["feed"] == "in_order"
    latest = {}  # feed -> cycle in which its last request entered
    for index, ((arrival, address, is_write), entry, end) in enumerate(zip(requests, entered, completed, strict=True)):
        kind = "write" if is_write else "read"
        text = f"{kind} {index} of address {address}"
        granule, place = located(part, address)
        if entry < arrival:
            yield f"{text}: enters at {entry} and arrives at {arrival}"
        feed = "all" if in_order else place[0]
        if entry < latest.get(feed, entry):
            yield f"{text}: enters at {entry}, before an older request of its feed"
        latest[feed] = entry
        older = before[granule]
        if end == entry + 1 and not is_write and separate:
            if not any(wrote and came <= entry <= served for came, served, wrote in older):
                yield f"{text}: completes at {end}, but no write waits that could answer it"
            continue
        served = end - delays[bool(is_write)]
        if columns.get((place[0], served, bool(is_write))) == place:
            del columns[place[0], served, bool(is_write)]
        else:
            yield f"{text}: completes at {end}, but no command of {served} moves its data"
        if served < entry:
            yield f"{text}: its command goes at {served}, before it enters at {entry}"
        if any(served <= other for _, other, _ in older):
            yield f"{text}: goes at {served}, before an older request of the same address"
        before[granule] = [(came, other, wrote) for came, other, wrote in older if other >= entry]
        before[granule].append((entry, served, bool(is_write)))
    for (_, cycle, is_write), (channel, *_) in columns.items():
        yield f"{'WR' if is_write else 'RD'} at {cycle} to channel {channel}: belongs to no request"


def violations(part, commands, requests=None, entered=None, completed=None, until=None, allowance=None):
    """Sentences about everything that is wrong with the commands; none for a good list.

    `requests` (cycle, address, is_write) with the cycles `entered` and `completed` are checked against the commands.
    Refreshes are checked up to `until` (default: the last command of each channel); each may come `allowance` cycles
    after it is due (default: `refresh_allowance`).
    """
    found = []
    organization = part["organization"]
    channels = {
        number: Channel(part, number, found) for number in range(organization["stacks"] * organization["channels"])
    }
    for cycle, number, rank, group, bank, name, row in commands:
        if number in channels:
            channels[number].look(cycle, rank, group, bank, name, row)
        else:
            found.append(f"{name} at {cycle} to channel {number}: no such place")
    found += late_refreshes(part, channels, until, refresh_allowance(part) if allowance is None else allowance)
    if requests is not None:
        found += misplaced_requests(part, commands, requests, entered, completed)
    return found
