"""What configs/published/training_memory.toml measures: bytes of a training iteration as others count them."""

from archmodel.exchange import read_network
from archmodel.training import STUDY, caffe_data_bytes, liveness, network_wide, training_graph
from archmodel.validation.scnn import Measured

GIB = 2**30
CAPACITY_BYTES = 12 * GIB  # of the study's Titan X
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
    too_large = 0
    for name, batch in NETWORKS:
        graph = training_graph(read_network(name), batch, STUDY)
        baseline_bytes = network_wide(graph).peak_bytes
        too_large += baseline_bytes > CAPACITY_BYTES
        values[f"baseline.{name}.{batch}"] = baseline_bytes / GIB
        values[f"liveness.{name}.{batch}"] = liveness(graph).peak_bytes / GIB
    values["baseline.too_large"] = too_large
    values["baseline.vgg16.256.gb"] = values["baseline.vgg16.256"] * GIB / 1e9
    return values, {}
