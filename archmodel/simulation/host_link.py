"""`sim --link`: what of a network goes over the link to the host, beside the time of its machine."""

import math
from dataclasses import replace

from archmodel.accelerators.registry import Machine
from archmodel.accelerators.run_result import RunResult
from archmodel.interconnect.batches import HostTransfers
from archmodel.interconnect.sharing import LinkConfig
from archmodel.memory.bank_memory import BankMemory
from archmodel.memory.transfers import Memory
from archmodel.network.network import Network


def behind_link(run: RunResult, machine: Machine, network: Network, memory: Memory, link: LinkConfig) -> RunResult:
    """The run with its transfers: inputs and outputs of the whole network, the weights of the layers that ran.

    Words have the machine's widths, zeros included: nothing is encoded on the link. Tensors that no layer reads are
    the outputs.
    """
    input_words = sum(math.prod(shape) for shape in network.inputs.values())
    output_words = sum(layer.output_words for layer in network.layers if not network.consumers[layer.name])
    weight_words = sum(network.layer(layer.name).parameters for layer in run.layers)
    transfers = HostTransfers.of(
        link,
        run.time_s,
        upload_bytes=machine.activation_bytes_of(input_words * run.batch),
        download_bytes=machine.activation_bytes_of(output_words * run.batch),
        weight_bytes=machine.weight_bytes_of(weight_words),
        capacity_bytes=memory.part.capacity_bytes if isinstance(memory, BankMemory) else None,
    )
    config = {**run.config, "link": link.model_dump(exclude_none=True)}
    return replace(run, config=config, host_transfers=transfers)
