"""DRAM controller that looks at every cycle: what each bank wants, what is allowed now, one command, look again.

A part is a dict with the tables `organization`, `timing`, `mapping`, `controller` of a file of configs/memory. Cycles
are those of the memory clock. In a cycle requests enter first, then commands go out. The run ends with the last
completion: commands of later cycles, and of that cycle, are not in the list.
"""

from collections import Counter
from math import prod

FIELDS = {"ro": "row", "ra": "rank", "bg": "bank_group", "ba": "bank", "ch": "channel", "co": "column"}
COLUMN_COMMANDS = ("RD", "WR")
REFRESH, COLUMN, ROW = range(3)  # order of commands that could go in the same cycle


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
        self.banks = {
            name: {"row": None, "acted": None, "precharged": None, "passed": 0, "columns": 0}
            for name in self.bank_names
        }
        self.separate = self.controller["queue"] == "separate"
        self.lists = {side: {name: [] for name in self.bank_names} for side in ("read", "write", "both")}
        self.mode = "read"
        self.gaps = gaps_of(part)
        self.last = {}  # (command, scope): cycle of the last one
        self.acts = {rank: [] for rank in self.ranks}
        self.last_on_bus = {}
        self.num_refreshed = Counter()  # by rank; per bank: by bank
        self.commands = []
        self.counts = Counter()

    # Requests

    def side(self, request):
        if not self.separate:
            return "both"
        return "write" if request["is_write"] else "read"

    def same_address(self, request, side):
        waiting = self.lists[side][request["bank_name"]]
        return [entry for entry in waiting if (entry["row"], entry["column"]) == (request["row"], request["column"])]

    def is_forwarded(self, request):
        return self.separate and not request["is_write"] and bool(self.same_address(request, "write"))

    def has_place(self, request):
        depth = self.controller["bank_queue_depth"]
        lists = self.lists[self.side(request)]
        if self.separate and request["is_write"]:
            if self.same_address(request, "read"):
                return False
            return sum(len(entries) for entries in lists.values()) < self.controller["buffer_depth"]
        if len(lists[request["bank_name"]]) < depth:
            return True
        in_buffer = sum(len(entries[depth:]) for entries in lists.values())
        return in_buffer < self.controller["buffer_depth"]

    def enter(self, request, cycle):
        """Whether the request enters in this cycle."""
        if self.is_forwarded(request):
            request["entered"], request["completed"] = cycle, cycle + 1
            self.counts["forwarded"] += 1
            return True
        if not self.has_place(request):
            return False
        request["entered"] = cycle
        self.lists[self.side(request)][request["bank_name"]].append(request)
        return True

    def look_at_mode(self):
        if not self.separate:
            self.mode = "both"
            return
        num_reads = sum(len(entries) for entries in self.lists["read"].values())
        num_writes = sum(len(entries) for entries in self.lists["write"].values())
        if self.mode == "read":
            if num_writes >= self.controller["write_high"] or (num_reads == 0 and num_writes > 0):
                self.mode = "write"
        elif num_reads > 0 and num_writes <= self.controller["write_low"]:
            self.mode = "read"

    # What could be done

    def wanted(self, name):
        """Command that the requests of a bank want, or None."""
        entries, bank = self.lists[self.mode][name], self.banks[name]
        if not entries:
            return None
        first = entries[0]
        order = (ROW, first["index"])
        if bank["row"] is None:
            return {"name": "ACT", "rank": name[0], "bank": name, "row": first["row"], "order": order}
        for entry in entries[: self.controller["bank_queue_depth"]]:
            if entry["row"] == bank["row"]:
                # a closed page has one column command in any case
                if entry is not first and bank["passed"] >= self.controller.get("row_hit_cap", 1):
                    break
                column = "WR" if entry["is_write"] else "RD"
                order = (COLUMN, entry["index"])
                return {
                    "name": column,
                    "rank": name[0],
                    "bank": name,
                    "row": bank["row"],
                    "order": order,
                    "request": entry,
                }
        return {"name": "PRE", "rank": name[0], "bank": name, "order": order}

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
        }
        return [name for name in self.bank_names if due[name] <= cycle]

    def candidates(self, cycle):
        due_ranks, due_banks = self.due_ranks(cycle), self.due_banks(cycle)
        for rank in due_ranks:
            is_open = any(bank["row"] is not None for name, bank in self.banks.items() if name[0] == rank)
            yield {"name": "PREA" if is_open else "REF", "rank": rank, "order": (REFRESH, rank)}
        for name in due_banks:
            refresh = "REFB" if self.banks[name]["row"] is None else "PRE"
            order = (REFRESH, name[0], refresh == "REFB", name)
            yield {"name": refresh, "rank": name[0], "bank": name, "order": order}
        for name in self.bank_names:
            if name[0] not in due_ranks and name not in due_banks:
                command = self.wanted(name)
                if command:
                    yield command

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
            return all(self.is_precharged(bank_name, cycle) for bank_name in self.bank_names if bank_name[0] == rank)
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
        for scope, before, after, gap in self.gaps:
            if after == command["name"]:
                for key in self.scopes(scope, command):
                    if (before, key) in self.last and cycle < self.last[before, key] + gap:
                        return False
        return True

    # What is done

    def tick(self, cycle):
        while True:
            self.look_at_mode()
            allowed = [command for command in self.candidates(cycle) if self.is_allowed(command, cycle)]
            if not allowed:
                return
            self.issue(min(allowed, key=lambda command: command["order"]), cycle)

    def issue(self, command, cycle):
        name, rank = command["name"], command["rank"]
        self.last_on_bus[self.bus(command)] = cycle
        bank_name = command.get("bank")
        for key in ("channel", rank) + ((bank_name, bank_name[:2]) if bank_name else ()):
            self.last[name, key] = cycle
        place = bank_name[1:] if bank_name else (-1, -1)
        self.commands.append((cycle, self.number, rank, *place, name, command.get("row", -1)))
        if name == "ACT":
            self.acts[rank].append(cycle)
            self.banks[bank_name].update(row=command["row"], acted=cycle, passed=0, columns=0)
        elif name == "PRE":
            self.banks[bank_name].update(row=None, precharged=cycle)
        elif name == "PREA":
            for other, bank in self.banks.items():
                if other[0] == rank and bank["row"] is not None:
                    bank.update(row=None, precharged=cycle)
        elif name in ("REF", "REFB"):
            self.num_refreshed[rank if name == "REF" else bank_name] += 1
        else:
            self.move_data(command["request"], cycle)

    def move_data(self, request, cycle):
        burst = self.part["organization"]["burst_cycles"]
        entries, bank = self.lists[self.side(request)][request["bank_name"]], self.banks[request["bank_name"]]
        if entries[0] is not request:
            bank["passed"] += 1
        entries.remove(request)
        if bank["columns"] > 0:
            self.counts["row_hits"] += 1
        bank["columns"] += 1
        delay = self.timing["CWL" if request["is_write"] else "CL"]
        request["completed"] = cycle + delay + burst
        if self.controller["page_policy"] == "closed":
            until = cycle + delay + burst + self.timing["tWR"] if request["is_write"] else cycle + self.timing["tRTP"]
            bank.update(row=None, precharged=max(bank["acted"] + self.timing["tRAS"], until))


class Memory:
    """All channels and what waits in front of them."""

    def __init__(self, part):
        self.part = part
        self.channels = [Channel(part, number) for number in range(counts_of(part["organization"])["channel"])]
        self.in_order = part["controller"]["feed"] == "in_order"
        self.feeds = {}

    def offer(self, index, cycle, address, is_write):
        """Put a request at the end of its feed; returns the dict in which `entered` and `completed` will stand."""
        request = {"index": index, "cycle": cycle, "is_write": bool(is_write), **decode(self.part, address)}
        request["bank_name"] = (request["rank"], request["bank_group"], request["bank"])
        self.feeds.setdefault("all" if self.in_order else request["channel"], []).append(request)
        return request

    def tick(self, cycle):
        for feed in self.feeds.values():
            while feed and feed[0]["cycle"] <= cycle and self.channels[feed[0]["channel"]].enter(feed[0], cycle):
                feed.pop(0)
        for channel in self.channels:
            channel.tick(cycle)

    def outcome(self, requests, until):
        commands = [command for channel in self.channels for command in channel.commands if command[0] < until]
        counts = Counter(command[5] for command in commands)
        for cause in ("forwarded", "row_hits"):
            counts[cause] = sum(channel.counts[cause] for channel in self.channels)
        return {
            "entered": [request["entered"] for request in requests],
            "completed": [request["completed"] for request in requests],
            "commands": sorted(commands, key=lambda command: command[:2]),  # stable: as issued within a channel
            "counts": dict(counts),
            "cycles": until,
        }


def serve(part, requests):
    """Serve (cycle, address, is_write) in this order.

    Returns `entered` and `completed` (a cycle for each request), `commands` (cycle, channel, rank, bank group, bank,
    command, row; -1 for what a command does not name), `counts` (by command, and `row_hits`, `forwarded`) and `cycles`.
    """
    memory = Memory(part)
    waiting = [memory.offer(index, *request) for index, request in enumerate(requests)]
    cycle, num_done = 0, 0
    while num_done < len(waiting):
        memory.tick(cycle)
        cycle += 1
        while num_done < len(waiting) and "completed" in waiting[num_done]:
            num_done += 1
    until = max((request["completed"] for request in waiting), default=0)
    while cycle < until:  # refreshes of banks that nobody uses any more
        memory.tick(cycle)
        cycle += 1
    return memory.outcome(waiting, until)
