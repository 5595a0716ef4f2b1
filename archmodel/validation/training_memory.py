"""What configs/published/training_memory.toml measures: bytes of a training iteration as others count them."""

from archmodel.exchange import read_network
from archmodel.training import STUDY, caffe_data_bytes, liveness, network_wide, training_graph
from archmodel.training.devices import open_device
from archmodel.training.step_times import workspace_of
from archmodel.validation.scnn import Measured

GIB = 2**30
CAPACITY_BYTES = 12 * GIB  # of the study's Titan X
DEVICE = "titanx_maxwell"
CAFFE = (("alexnet_owt", 128), ("overfeat_fast", 128), ("vgg_a", 64))
# The ten networks of the vDNN study with their batches.
NETWORKS = (
    ("alexnet_owt", 128),
    ("overfeat_fast", 128),
    ("googlenet", 128),
    ("vgg16", 64),
    ("vgg16", 128),
    ("vgg16", 256),
    ("vgg116", 32),
    ("vgg216", 32),
    ("vgg316", 32),
    ("vgg416", 32),
)


def measure_training_memory() -> Measured:
    """Values of configs/published/training_memory.toml: bytes of Caffe, GiB of the allocators."""
    values: dict[str, float] = {
        f"caffe.{name}.{batch}": caffe_data_bytes(read_network(name), batch) for name, batch in CAFFE
    }
    device = open_device(DEVICE)
    too_large = {"baseline": 0, "workspace": 0}
    for name, batch in NETWORKS:
        network = read_network(name)
        graph = training_graph(network, batch, STUDY)
        fastest = training_graph(network, batch, STUDY, workspace_of(device, network, "performance", STUDY))
        for rule, peak_bytes in (
            ("baseline", network_wide(graph).peak_bytes),
            ("workspace", network_wide(fastest).peak_bytes),
        ):
            too_large[rule] += peak_bytes > CAPACITY_BYTES
            values[f"{rule}.{name}.{batch}"] = peak_bytes / GIB
        values[f"liveness.{name}.{batch}"] = liveness(graph).peak_bytes / GIB
    return values | {f"{rule}.too_large": count for rule, count in too_large.items()}, {}
