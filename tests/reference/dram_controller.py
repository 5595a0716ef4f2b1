"""DRAM controller that looks at every cycle: what each bank wants, what is allowed now, one command, look again.

A part is a dict with the tables `organization`, `timing`, `mapping`, `controller`, `energy` of a file of
configs/memory, without the optional keys that it does not have. Cycles are those of the memory clock. In a cycle
requests enter first, then waiting ones go to the lists of their banks, then commands go out. The run ends with the last
completion; refreshes that come later are not in the list.
"""

from collections import Counter
from math import prod

FIELDS = {"ro": "row", "ra": "rank", "bg": "bank_group", "ba": "bank", "ch": "channel", "co": "column"}
COLUMN_COMMANDS = ("RD", "WR")
REST = ("RD", "WR", "REF", "REFB")
REFRESH, REQUEST = range(2)  # order of commands that could go in the same cycle


def counts_of(organization):
    """How many values every field of an address has."""
    return {
        "row": organization["rows"],
        "rank": organization["ranks"],
        "bank_group": organization["bank_groups"],
        "bank": organization["banks_per_group"],
        "channel": organization["stacks"] * organization["channels"],
        "column": organization["columns"] // organization["burst_length"],
    }


def decode(part, address):
    """Fields of an address: its granule number written in binary and cut by the mapping."""
    organization = part["organization"]
    counts = counts_of(organization)
    access_bytes = organization["bus_bits"] // 8 * organization["burst_length"]
    digits = format(address // access_bytes % prod(counts.values()), "b").zfill(200)
    order = part["mapping"]["order"]
    fields = {}
    for letters in reversed([order[i : i + 2] for i in range(0, 12, 2)]):
        name = FIELDS[letters]
        width = len(format(counts[name] - 1, "b")) if counts[name] > 1 else 0
        fields[name] = int(digits[len(digits) - width :] or "0", 2)
        digits = digits[: len(digits) - width]
    return fields


def gaps_of(part):
    """(scope, command before, command after, least cycles between); `other rank`: before went to another rank."""
    timing = part["timing"]
    burst = part["organization"]["burst_cycles"]
    RL, WL = timing["CL"], timing["CWL"]
    turn = RL + burst - WL + timing["tRTRS"]
    return [
        ("bank", "ACT", "RD", timing["tRCDRD"]),
        ("bank", "ACT", "WR", timing["tRCDWR"]),
        ("bank", "ACT", "PRE", timing["tRAS"]),
        ("bank", "ACT", "ACT", timing["tRC"]),
        ("bank", "RD", "PRE", timing["tRTP"]),
        ("bank", "WR", "PRE", WL + burst + timing["tWR"]),
        ("bank", "REFB", "ACT", timing.get("tRFCB", 0)),
        ("bank group", "ACT", "ACT", timing["tRRD_L"]),
        ("bank group", "RD", "RD", max(burst, timing["tCCD_L"])),
        ("bank group", "WR", "WR", max(burst, timing["tCCD_L"])),
        ("bank group", "WR", "RD", WL + burst + timing["tWTR_L"]),
        ("rank", "ACT", "ACT", timing["tRRD_S"]),
        ("rank", "RD", "RD", max(burst, timing["tCCD_S"])),
        ("rank", "WR", "WR", max(burst, timing["tCCD_S"])),
        ("rank", "WR", "RD", WL + burst + timing["tWTR_S"]),
        ("rank", "RD", "WR", turn),
        ("rank", "PRE", "PRE", timing.get("tPPD", 0)),
        ("rank", "REF", "ACT", timing["tRFC"]),
        ("rank", "REF", "REF", timing["tRFC"]),
        ("other rank", "RD", "RD", burst + timing["tRTRS"]),
        ("other rank", "WR", "WR", burst),
        ("other rank", "RD", "WR", turn),
        ("other rank", "WR", "RD", max(1, WL + burst + timing["tRTRS"] - RL)),
        ("channel", "REFB", "REFB", timing.get("tRFCB", 0)),
    ]


class Channel:
    """A bank is named (rank, bank group, bank); a command is a dict: name, rank, order and what it has of the rest."""

    def __init__(self, part, number):
        self.part, self.number = part, number
        self.timing, self.controller = part["timing"], part["controller"]
        organization = part["organization"]
        self.ranks = range(organization["ranks"])
        groups, banks = range(organization["bank_groups"]), range(organization["banks_per_group"])
        self.bank_names = [(rank, group, bank) for rank in self.ranks for group in groups for bank in banks]
        self.banks = {name: {"row": None, "acted": None, "precharged": None, "columns": 0} for name in self.bank_names}
        self.separate = self.controller["queue"] == "separate"
        self.waiting = {"read": [], "write": []}  # the buffers; one buffer for both is that of reads
        self.lists = {name: [] for name in self.bank_names}
        self.draining = 0  # writes that go to the lists before reads do
        self.num_to_come = 0  # requests that have not entered
        self.feed_has_ended = False  # those of all channels have entered
        self.gaps = {name: [gap for gap in gaps_of(part) if gap[2] == name] for name in ("ACT", "PRE", *REST)}
        self.last = {}  # (command, scope): cycle of the last one
        self.acts = {rank: [] for rank in self.ranks}
        self.last_on_bus = {}
        self.groups_first = sorted(self.bank_names, key=lambda name: (name[0], name[2], name[1]))
        self.last_served = self.bank_names[-1]
        self.num_refreshed = Counter()  # by rank; per bank: by bank
        self.commands = []
        self.open_cycles = {rank: set() for rank in self.ranks}
        self.counts = Counter()

    # Requests

    def kind(self, request):
        return "write" if self.separate and request["is_write"] else "read"

    def same_access(self, request):
        """Those of the channel that are for the same bank, row and column."""
        all_here = [*self.waiting["read"], *self.waiting["write"], *self.lists[request["bank_name"]]]
        return [one for one in all_here if all(one[key] == request[key] for key in ("bank_name", "row", "column"))]

    def enter(self, request, cycle):
        """Whether the request enters in this cycle."""
        waiting = self.waiting[self.kind(request)]
        if len(waiting) >= self.controller["buffer_depth"]:
            return False
        other_kind = any(one["is_write"] != request["is_write"] for one in self.same_access(request))
        if other_kind and (request["is_write"] or not self.separate):
            return False
        request["entered"] = cycle
        self.num_to_come -= 1
        if other_kind:
            request["completed"] = cycle + 1
            self.counts["forwarded"] += 1
        else:
            waiting.append(request)
        return True

    # From the buffers to the lists

    def has_room(self, bank_name):
        return len(self.lists[bank_name]) < self.controller["bank_queue_depth"]

    def to_list(self, kind, request):
        self.waiting[kind].remove(request)
        self.lists[request["bank_name"]].append(request)
        if kind == "write":
            self.draining -= 1

    def fill_lists(self):
        for kind in ("write", "read"):
            for request in list(self.waiting[kind]):
                turn = self.draining > 0 if kind == "write" else self.draining == 0
                if turn and self.has_room(request["bank_name"]):
                    self.to_list(kind, request)

    def begins_to_drain(self):
        num_writes = len(self.waiting["write"])
        if self.draining > 0 or num_writes == 0:
            return False
        if num_writes >= self.controller["write_high"]:
            return True
        return num_writes > self.controller["write_idle"] and not any(self.lists.values())

    def drain(self):
        """Look whether writes are to go; then those and the reads that may do so go to the lists."""
        if self.begins_to_drain():
            self.draining = len(self.waiting["write"])
            self.fill_lists()

    def settle(self):
        self.drain()
        self.fill_lists()

    def drain_the_rest(self):
        """Few writes that nothing follows, in no channel: they go when nothing else is to do."""
        if self.feed_has_ended and not any(self.lists.values()):
            self.draining = len(self.waiting["write"])
            self.fill_lists()

    def follow(self, bank_name):
        """An entry has left the list of the bank: one of those that wait takes its room."""
        kind = "write" if self.draining > 0 else "read"
        for request in self.waiting[kind]:
            if request["bank_name"] == bank_name:
                self.to_list(kind, request)
                break
        if self.draining == 0:
            self.fill_lists()

    # What could be done

    def turn(self, name, order):
        """Banks before this one, going round in this order from the one after the bank that was served last."""
        return (order.index(name) - order.index(self.last_served) - 1) % len(order)

    def wanted(self, name):
        """Commands that the requests of a bank want."""
        entries, bank = self.lists[name], self.banks[name]
        if not entries:
            return
        round_robin = self.turn(name, self.bank_names)
        command = {"rank": name[0], "bank": name}
        if bank["row"] is None:
            order = (REQUEST, self.turn(name, self.groups_first), 2)
            yield command | {"name": "ACT", "row": entries[0]["row"], "order": order}
            return
        for column in ("RD", "WR"):
            of_kind = [i for i, one in enumerate(entries) if one["is_write"] == (column == "WR")]
            hits = [i for i in of_kind if entries[i]["row"] == bank["row"]]
            if hits:
                order, request = (REQUEST, round_robin, 1, hits[0]), entries[hits[0]]
                yield command | {"name": column, "row": bank["row"], "order": order, "request": request}
        if entries[0]["row"] != bank["row"]:
            none_left = all(one["row"] != bank["row"] for one in entries)
            if none_left or bank["columns"] >= self.controller["row_hit_cap"]:
                yield command | {"name": "PRE", "order": (REQUEST, round_robin, 0)}

    def due_ranks(self, cycle):
        if self.controller["refresh"] != "all_bank":
            return []
        every, num_ranks = self.timing["tREFI"], len(self.ranks)
        due = {rank: (self.num_refreshed[rank] + 1) * every + rank * every // num_ranks for rank in self.ranks}
        return [rank for rank in self.ranks if due[rank] <= cycle]

    def due_banks(self, cycle):
        if self.controller["refresh"] != "per_bank":
            return []
        every, num_banks = self.timing["tREFIB"], len(self.bank_names)
        due = {
            name: (self.num_refreshed[name] * num_banks + position + 1) * every
            for position, name in enumerate(self.bank_names)
            if cycle >= every
        }
        return [name for name in due if due[name] <= cycle]

    def candidates(self, cycle):
        due_ranks, due_banks = self.due_ranks(cycle), self.due_banks(cycle)
        for rank in due_ranks:
            is_open = any(bank["row"] is not None for name, bank in self.banks.items() if name[0] == rank)
            yield {"name": "PREA" if is_open else "REF", "rank": rank, "order": (REFRESH, rank)}
        for name in due_banks:
            refresh = "REFB" if self.banks[name]["row"] is None else "PRE"
            yield {"name": refresh, "rank": name[0], "bank": name, "order": (REFRESH, *name)}
        for name, entries in self.lists.items():
            if entries and name[0] not in due_ranks and name not in due_banks:
                yield from self.wanted(name)

    def bus(self, command):
        two_buses = self.part["organization"]["command_buses"] == 2
        return "column" if two_buses and command["name"] in COLUMN_COMMANDS else "row"

    def scopes(self, scope, command):
        """Keys of the places that a gap of this scope looks back at."""
        if scope == "channel":
            return ["channel"]
        if scope == "rank":
            return [command["rank"]]
        if scope == "other rank":
            return [rank for rank in self.ranks if rank != command["rank"]]
        return [command["bank"] if scope == "bank" else command["bank"][:2]]

    def is_allowed(self, command, cycle):
        if self.last_on_bus.get(self.bus(command), -1) >= cycle:
            return False
        name, rank = command["name"], command["rank"]
        if name == "PREA":  # every open bank may be precharged
            return all(
                self.gaps_hold({"name": "PRE", "rank": rank, "bank": bank_name}, cycle)
                for bank_name, bank in self.banks.items()
                if bank_name[0] == rank and bank["row"] is not None
            )
        if name in ("ACT", "REFB") and not self.is_precharged(command["bank"], cycle):
            return False
        if name == "REF":
            of_rank = [bank_name for bank_name in self.bank_names if bank_name[0] == rank]
            if not all(self.is_precharged(bank_name, cycle) for bank_name in of_rank):
                return False
        if name == "ACT":
            for num_acts, window in ((4, self.timing["tFAW"]), (32, self.timing.get("t32AW", 0))):
                acts = self.acts[rank][-num_acts:]
                if len(acts) == num_acts and cycle < acts[0] + window:
                    return False
        return self.gaps_hold(command, cycle)

    def is_precharged(self, bank_name, cycle):
        precharged = self.banks[bank_name]["precharged"]
        return precharged is None or cycle >= precharged + self.timing["tRP"]

    def gaps_hold(self, command, cycle):
        for scope, before, _, gap in self.gaps[command["name"]]:
            for key in self.scopes(scope, command):
                if (before, key) in self.last and cycle < self.last[before, key] + gap:
                    return False
        return True

    # What is done

    def tick(self, cycle):
        while True:
            allowed = [command for command in self.candidates(cycle) if self.is_allowed(command, cycle)]
            if not allowed:
                return
            self.issue(min(allowed, key=lambda command: command["order"]), cycle)
            self.drain()
            self.drain_the_rest()

    def issue(self, command, cycle):
        name, rank = command["name"], command["rank"]
        self.last_on_bus[self.bus(command)] = cycle
        bank_name = command.get("bank")
        for key in ("channel", rank) + ((bank_name, bank_name[:2]) if bank_name else ()):
            self.last[name, key] = cycle
        place = bank_name[1:] if bank_name else (-1, -1)
        self.commands.append((cycle, self.number, rank, *place, name, command.get("row", -1)))
        if command["order"][0] != REFRESH:
            self.last_served = bank_name
        if name == "ACT":
            self.acts[rank].append(cycle)
            self.banks[bank_name].update(row=command["row"], acted=cycle, columns=0)
        elif name == "PRE":
            self.close(bank_name, cycle)
        elif name == "PREA":
            for other, bank in self.banks.items():
                if other[0] == rank and bank["row"] is not None:
                    self.close(other, cycle)
        elif name in ("REF", "REFB"):
            self.num_refreshed[rank if name == "REF" else bank_name] += 1
        else:
            self.move_data(command["request"], cycle)

    def close(self, bank_name, cycle):
        bank = self.banks[bank_name]
        bank.update(row=None, precharged=cycle)
        self.open_cycles[bank_name[0]].update(range(bank["acted"], cycle))

    def move_data(self, request, cycle):
        burst = self.part["organization"]["burst_cycles"]
        bank_name = request["bank_name"]
        bank = self.banks[bank_name]
        if bank["columns"] > 0:
            self.counts["row_hits"] += 1
        bank["columns"] += 1
        delay = self.timing["CWL" if request["is_write"] else "CL"]
        request["completed"] = cycle + delay + burst
        if self.controller["page_policy"] == "closed":
            until = cycle + delay + burst + self.timing["tWR"] if request["is_write"] else cycle + self.timing["tRTP"]
            self.close(bank_name, max(bank["acted"] + self.timing["tRAS"], until))
        self.lists[bank_name].remove(request)
        self.follow(bank_name)

    def cycles_with_an_open_bank(self, until):
        """Summed over ranks."""
        total = 0
        for rank in self.ranks:
            cycles = set(self.open_cycles[rank])
            for name, bank in self.banks.items():
                if name[0] == rank and bank["row"] is not None:
                    cycles.update(range(bank["acted"], until))
            total += sum(cycle < until for cycle in cycles)
        return total


class Memory:
    """All channels and what waits in front of them."""

    def __init__(self, part):
        self.part = part
        self.channels = [Channel(part, number) for number in range(counts_of(part["organization"])["channel"])]

    def request(self, index, cycle, address, is_write):
        """A request as the channels take it; `entered` and `completed` will stand in it."""
        request = {"index": index, "cycle": cycle, "is_write": bool(is_write), **decode(self.part, address)}
        request["bank_name"] = (request["rank"], request["bank_group"], request["bank"])
        self.channels[request["channel"]].num_to_come += 1
        return request

    def tick(self, cycle, feeds):
        """One cycle; `feeds` are lists of requests of which each waits for the one before, and are shortened."""
        entered_to = set()
        for feed in feeds:
            while feed and feed[0]["cycle"] <= cycle and self.channels[feed[0]["channel"]].enter(feed[0], cycle):
                entered_to.add(feed.pop(0)["channel"])
        self.work(cycle, entered_to)

    def work(self, cycle, entered_to):
        for number in entered_to:
            self.channels[number].settle()
        if not any(channel.num_to_come for channel in self.channels):
            for channel in self.channels:
                channel.feed_has_ended = True
                channel.drain_the_rest()
        for channel in self.channels:
            channel.tick(cycle)

    def outcome(self, requests, until):
        commands = [command for channel in self.channels for command in channel.commands if command[0] <= until]
        counts = Counter(command[5] for command in commands)
        for cause in ("forwarded", "row_hits"):
            counts[cause] = sum(channel.counts[cause] for channel in self.channels)
        active = sum(channel.cycles_with_an_open_bank(until) for channel in self.channels)
        return {
            "entered": [request["entered"] for request in requests],
            "completed": [request["completed"] for request in requests],
            "commands": sorted(commands, key=lambda command: command[:2]),  # stable: as issued within a channel
            "counts": dict(counts),
            "cycles": until,
            "active_cycles": active,
            "energy_pj": energy_pj(self.part, counts, active, until),
        }


def energy_pj(part, counts, active_cycles, cycles):
    """Of commands, above standby, and of standby: supply x current x cycles of all devices of a rank."""
    organization, timing, of_device = part["organization"], part["timing"], part["energy"]
    banks = organization["bank_groups"] * organization["banks_per_group"]
    idle, active = of_device["IDD2N_mA"], of_device["IDD3N_mA"]
    burst = organization["burst_cycles"]
    rank_cycles = cycles * organization["stacks"] * organization["channels"] * organization["ranks"]
    charge = active_cycles * active + (rank_cycles - active_cycles) * idle
    charge += counts["ACT"] * (of_device["IDD0_mA"] * timing["tRC"] - active * timing["tRAS"] - idle * timing["tRP"])
    charge += counts["RD"] * burst * (of_device["IDD4R_mA"] - active)
    charge += counts["WR"] * burst * (of_device["IDD4W_mA"] - active)
    charge += (counts["REF"] + counts["REFB"] / banks) * timing["tRFC"] * (of_device["IDD5AB_mA"] - active)
    devices = organization["bus_bits"] // organization["device_bits"]
    return charge * devices * of_device["supply_v"] * of_device["charged_ns_per_cycle"]


def serve(part, requests):
    """Serve (cycle, address, is_write) in this order.

    Returns `entered` and `completed` (a cycle for each request), `commands` (cycle, channel, rank, bank group, bank,
    command, row; -1 for what a command does not name), `counts` (by command, and `row_hits`, `forwarded`), `cycles`,
    `active_cycles` (with a bank open, summed over ranks) and `energy_pj`, without I/O.
    """
    memory = Memory(part)
    offered = [memory.request(index, *request) for index, request in enumerate(requests)]
    in_order = part["controller"]["feed"] == "in_order"
    feeds = {}
    for request in offered:
        feeds.setdefault("all" if in_order else request["channel"], []).append(request)
    cycle, num_done = 0, 0
    while num_done < len(offered):
        memory.tick(cycle, feeds.values())
        cycle += 1
        while num_done < len(offered) and "completed" in offered[num_done]:
            num_done += 1
    until = max((request["completed"] for request in offered), default=0)
    while cycle <= until:  # refreshes of banks that nobody uses any more
        memory.tick(cycle, feeds.values())
        cycle += 1
    return memory.outcome(offered, until)
