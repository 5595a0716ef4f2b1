"""From a name or a path to a network: the suffix of the file decides who reads it."""

from pathlib import Path

from archmodel import config
from archmodel.exchange.scale_sim_reader import read_scale_sim
from archmodel.network.network import Network
from archmodel.network.toml_reader import read_toml


def read_network(name_or_path: str | Path, skip: bool = False) -> Network:
    """The network of a bare name (the project's own), of a TOML, an ONNX or a SCALE-Sim CSV file.

    With `skip` what of an ONNX file cannot be read is left out and noted.

    Raises ConfigError where the file is not a network file, WorkloadError where the network cannot be; each is one
    line with the file, the layer and what is allowed.
    """
    path, source = config.locate("workloads", name_or_path)
    if path.suffix == ".onnx":
        from archmodel.exchange.onnx_reader import read_onnx

        return read_onnx(path, source, skip)
    if path.suffix == ".csv":
        return read_scale_sim(path, source)
    return read_toml(name_or_path, path, source)
