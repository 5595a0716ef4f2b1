"""LeNet-300-100, pruned to the densities of Han et al. (NIPS 2015): 8, 9 and 26 % of the weights of its layers.

The network is the one that comes with archmodel. It reads 28x28 pixels, those of MNIST; here they are scikit-learn's
digits of 8x8 pixels, each three or four pixels wide and high. Accuracies and input densities are not those of MNIST.

python examples/lenet300_100.py
archmodel sim --arch scnn,eie,cnvlutin --net lenet300_100 --check \
    --weights examples/lenet300_100.npz --activations examples/lenet300_100.npz
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy starts: the same sums on any number of cores

import numpy as np
from layers import Array
from study import run

from archmodel.exchange import read_network


def enlarged(images: Array) -> Array:
    """Images [N, 1, 8, 8] on 28x28 pixels, each the nearest of the small ones."""
    nearest = np.arange(28) * 8 // 28
    return images[:, :, nearest][:, :, :, nearest]


if __name__ == "__main__":
    run(read_network("lenet300_100"), enlarged)
