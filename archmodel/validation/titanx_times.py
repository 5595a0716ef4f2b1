"""What configs/published/titanx_times.toml measures: training steps on a Titan X, by layer and by network."""

from collections.abc import Iterator
from functools import cache

from archmodel.accelerators.conv_algorithms import PASSES
from archmodel.accelerators.gpu import Gpu, LayerTime
from archmodel.accelerators.gpu_config import DeviceConfig, load_device
from archmodel.accelerators.measured_times import MeasuredRow, load_measured
from archmodel.exchange import read_network
from archmodel.network import Network
from archmodel.validation.published import Kind, PublishedRow
from archmodel.validation.scnn import Measured

DEVICE = "titanx_maxwell"
FITTED = ("alexnet_owt", "overfeat_fast")
CAFFE_ALGORITHM = "precomputed_gemm"  # Caffe asks cuDNN for what needs at most 8 MB of workspace
NOT_TIMED = ("dropout", "softmax", "norm")  # in our networks, but not in those of convnet-benchmarks
BATCHES = {"alexnet_owt": 128, "overfeat_fast": 128, "vgg_a": 64, "googlenet": 128}
DIRECTIONS = ("forward", "backward")
LAYER_BAND = 0.25
FIT_REASON = "efficiency.precomputed_gemm, gemm, dram and pool_gradient were fitted to the layers of their kinds"
FIRST_REASON = "nobody says how cuDNN shares the few weights and channels of a first layer among multiprocessors"


@cache
def network_of(name: str) -> Network:
    """A network of workloads/, read once."""
    return read_network(name)


def caffe_times(device: DeviceConfig) -> dict[tuple[str, str, str], float]:
    """Our milliseconds of every measured row, by (network, layer, direction): a layer with the activation behind it."""
    gpu = Gpu(device, CAFFE_ALGORITHM)
    times: dict[tuple[str, str, str], float] = {}
    for name in dict.fromkeys(row.network for row in load_measured()):
        network, measured = network_of(name), {row.layer for row in load_measured() if row.network == name}
        last = ""
        for layer in network.layers:
            if layer.name in measured:
                last = layer.name
            elif layer.kind != "activation" or network.layer(last).kind != "conv":
                continue
            ours = gpu.layer_time(layer, BATCHES[name])
            for direction, seconds in zip(DIRECTIONS, (ours.forward_s, ours.backward_s), strict=True):
                key = (name, last, direction)
                times[key] = times.get(key, 0.0) + 1e3 * seconds
    return times


def torch_times(device: DeviceConfig, name: str, library: str, word_bytes: int = 4) -> dict[str, float]:
    """Our milliseconds of a network by pass and in total, with the fastest algorithms of a library."""
    gpu = Gpu(device, "performance", library, word_bytes)
    times = timed(gpu.network_times(network_of(name), BATCHES[name]))
    passes: dict[str, float] = {}
    for which in PASSES:
        passes[which] = 1e3 * sum(time.steps[which].seconds for time in times if which in time.steps)
    return {**passes, "total": sum(passes.values())}


def timed(times: tuple[LayerTime, ...]) -> list[LayerTime]:
    """Without the layers that convnet-benchmarks leaves out."""
    return [time for time in times if time.kind not in NOT_TIMED]


def measured_ms(row: MeasuredRow, direction: str) -> float:
    """One direction of a measured row."""
    return 1e3 * (row.forward_s if direction == "forward" else row.backward_s)


def rows_of_titanx_layers() -> tuple[PublishedRow, ...]:
    """A row for each direction of each layer of Caffe's logs."""
    return tuple(_layer_rows())


def _layer_rows() -> Iterator[PublishedRow]:
    for row in load_measured():
        first = row.layer == network_of(row.network).layers[0].name
        for direction in DIRECTIONS:
            kind: Kind = "fitted" if row.network in FITTED else "band"
            reason = FIT_REASON if kind == "fitted" else f"a prediction; +-{LAYER_BAND:.0%} as for the network"
            if kind == "band" and first and direction == "backward":
                kind, reason = "report", FIRST_REASON
            yield PublishedRow(
                id=f"caffe.{row.network}.{row.layer}.{direction}",
                what=f"Caffe, {row.network}, {row.layer}, {direction}, ms",
                kind=kind,
                published=round(measured_ms(row, direction), 6),
                provenance="primary, soumith/convnet-benchmarks, log of Caffe",
                tolerance=LAYER_BAND if kind == "band" else None,
                reason=reason,
            )


def measure_titanx_times() -> Measured:
    """Values of configs/published/titanx_times.toml."""
    device = load_device(DEVICE)
    layers = caffe_times(device)
    values = {f"caffe.{'.'.join(key)}": time for key, time in layers.items()}
    for name in dict.fromkeys(key[0] for key in layers):
        values[f"caffe.{name}.total"] = sum(time for key, time in layers.items() if key[0] == name)
    for name in BATCHES:
        for which, time in torch_times(device, name, "cudnn4").items():
            values[f"cudnn4.{name}.{which}"] = time
        for which, time in torch_times(device, name, "cudnn4", word_bytes=2).items():
            values[f"cudnn4_fp16.{name}.{which}"] = time
        values[f"neon.{name}.total"] = torch_times(device, name, "neon")["total"]
    return values, {}
