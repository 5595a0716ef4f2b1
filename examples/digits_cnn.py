"""A small CNN that reads handwritten digits, pruned to a fifth of its weights.

python examples/digits_cnn.py
archmodel sim --arch scnn,eie,cnvlutin --net examples/digits_cnn.toml --check \
    --weights examples/digits_cnn.npz --activations examples/digits_cnn.npz
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy starts: the same sums on any number of cores

from pathlib import Path

from study import run

from archmodel.exchange import read_network

if __name__ == "__main__":
    run(read_network(Path(__file__).with_suffix(".toml")))
