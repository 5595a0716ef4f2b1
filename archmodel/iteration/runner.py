"""Every combination of a request as a run; what several have in common is made once."""

from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from archmodel.accelerators.registry import source_name
from archmodel.errors import ConfigError
from archmodel.exchange import read_network
from archmodel.iteration.largest_batch import largest_batch
from archmodel.iteration.memory import memory_of
from archmodel.iteration.request import Place, Request, Way
from archmodel.training import POLICIES
from archmodel.training.compressing_dma import CompressingDma, load_dma, open_engine
from archmodel.training.dma import Dma
from archmodel.training.machine_device import MachineDevice
from archmodel.training.measured_device import MeasuredDevice
from archmodel.training.step_times import Device, Mode
from archmodel.training.systems import System, load_system
from archmodel.training.training_run import TrainingRun
from archmodel.training.virtualization import Prepared, decide, iterate

NUM_KEPT = 8  # of what networks with a batch have in common for all policies


class Runner:
    """The runs of a request.

    Networks, systems and engines are opened before anything runs, so that a wrong name costs no time.
    """

    def __init__(self, asked: Request) -> None:
        self.asked = asked
        self.networks = {net: read_network(net) for net in asked.nets}
        self.systems = {place: self._open(place) for place in asked.places}
        for way in asked.ways:
            open_engine(way.dma)
        self.prepared = lru_cache(NUM_KEPT)(self._prepared)
        self.memory_facts = lru_cache(NUM_KEPT)(self._memory_facts)
        self.largest = lru_cache(None)(self._largest)

    def runs(self) -> Iterator[TrainingRun]:
        """In the order in which they were asked for: network, batch, place, way."""
        for net in self.asked.nets:
            for batch in self.asked.batches or (None,):
                for place in self.asked.places:
                    for way in self.asked.ways:
                        yield self._run(net, batch, place, way)

    def _open(self, place: Place) -> System:
        system = load_system(place.system, device=place.device, link=place.link, memory=self.asked.memory)
        if self.asked.fit and self._capacity(system) is None:
            raise ConfigError(f"fit: nothing is known of the memory of {system.device.name}; give capacity_bytes")
        return system

    def _capacity(self, system: System) -> int | None:
        return system.memory_bytes if self.asked.capacity_bytes is None else self.asked.capacity_bytes

    def _run(self, net: str, batch: int | None, place: Place, way: Way) -> TrainingRun:
        """One combination; a batch of None is the largest that fits, or one image where not even that does."""
        system, policy = self.systems[place], POLICIES[way.policy]
        mode, capacity_bytes = way.mode or system.mode, self._capacity(system)
        facts: dict[str, Any] = {}
        if batch is None:
            facts["largest_batch"] = self.largest(net, place._replace(link=None), policy.name, mode)
            batch = max(facts["largest_batch"], 1)
        prepared = self.prepared(net, batch, place._replace(link=None))
        dma = load_dma(way.dma, self.networks[net], prepared.graph)
        decision = decide(prepared, policy, mode, capacity_bytes)
        iteration = iterate(prepared, decision, policy, system.link, dma, capacity_bytes)
        if policy.offload == "dyn" or iteration.trials[-1].late:
            facts["trials"] = [
                {"offload": one.offload, "mode": one.mode, "greedy": one.greedy, "late": one.late, "fits": one.fit.fits}
                for one in iteration.trials
            ]
        facts |= self.memory_facts(net, batch, capacity_bytes)
        return TrainingRun(
            net=self.networks[net].name,
            batch=batch,
            policy=policy.name,
            timeline=iteration.timeline,
            oracle_s=iteration.oracle_s,
            fits=iteration.fits,
            mode=iteration.trials[-1].mode,
            device=source_name(system.config.device),
            link=source_name(system.config.link),
            dma=source_name(way.dma),
            capacity_bytes=capacity_bytes,
            why_not=iteration.why_not,
            reserved_bytes=iteration.reserved_bytes,
            peak_live_bytes=iteration.peak_live_bytes,
            algorithms={name: time.algorithm for name, time in iteration.algorithms.items() if time.algorithm},
            config=self._config(system, dma),
            facts=facts,
        )

    def _prepared(self, net: str, batch: int, place: Place) -> Prepared:
        """What all policies have in common; the same for all links."""
        device = next(system.device for known, system in self.systems.items() if known._replace(link=None) == place)
        return Prepared(self.networks[net], batch, device, self.asked.choices)

    def _memory_facts(self, net: str, batch: int, capacity_bytes: int | None) -> dict[str, Any]:
        """Of the network's graph whatever the policy, and what allocators make of it."""
        asked, place = self.asked, self.asked.places[0]._replace(link=None)
        graph = self.prepared(net, batch, place).graph
        found = memory_of(self.networks[net], graph, asked.accounting, asked.caffe_form, capacity_bytes).as_dict()
        return {key: value for key, value in found.items() if key not in ("net", "batch")}

    def _largest(self, net: str, place: Place, policy_name: str, mode: Mode) -> int:
        """The largest batch that fits; neither the link nor the DMA engine has a say."""
        system = next(system for known, system in self.systems.items() if known._replace(link=None) == place)
        capacity_bytes, policy = self._capacity(system), POLICIES[policy_name]
        assert capacity_bytes is not None, "is known before any run"
        if policy.offload == "dyn":  # its first trial decides
            policy, mode = POLICIES["vdnn_all"], "memory"

        def fits(batch: int) -> tuple[bool, int]:
            prepared = Prepared(self.networks[net], batch, system.device, self.asked.choices)
            fit = decide(prepared, policy, mode, capacity_bytes).taken.fit
            return fit.fits, fit.peak_live_bytes

        return largest_batch(fits, capacity_bytes)

    def _config(self, system: System, dma: Dma) -> dict[str, Any]:
        """What was used, as in the files."""
        return {
            "choices": asdict(self.asked.choices),
            "system": system.config.model_dump(mode="json"),
            "device": described(system.device),
            "link": system.link.model_dump(mode="json"),
            **({"dma": dma.config.model_dump(mode="json")} if isinstance(dma, CompressingDma) else {}),
        }


def described(device: Device) -> dict[str, Any]:
    """The configuration of a device, as in its file."""
    if isinstance(device, MachineDevice):
        return {"machine": device.machine.config.model_dump(), "memory": device.memory.name}
    if isinstance(device, MeasuredDevice):
        return {"name": device.name, "roofline": described(device.roofline)}
    found: dict[str, Any] = device.config.model_dump(mode="json")  # type: ignore[attr-defined]
    return found
