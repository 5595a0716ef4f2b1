"""What one-shot pruning does to the network of digits_cnn.py: cosine of its outputs and accuracy, by density.

python examples/digits_cnn.py
python examples/pruning_curve.py
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
from training import Digits

import archmodel

DENSITIES = (0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.05)


def accuracy(path: Path, images: np.ndarray, labels: np.ndarray) -> float:
    """Share of the images that a network recognizes."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [scores] = session.run(None, {session.get_inputs()[0].name: images})
    return float((scores.argmax(axis=1) == labels).mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Cosine and accuracy of the digits network by its density.")
    parser.add_argument("dense", nargs="?", type=Path, default=Path(__file__).with_name("digits_cnn_dense.onnx"))
    parser.add_argument("--images", type=int, default=100, help="test images that outputs are compared on (100)")
    chosen = parser.parse_args()
    images, labels = Digits.load().to_test
    images = images.astype(np.float32)
    print(f"dense: {accuracy(chosen.dense, images, labels):.1%} of {len(images)} test images")
    print("density  per layer: cosine, accuracy  globally: cosine, accuracy")
    with TemporaryDirectory() as folder:
        inputs, pruned = Path(folder) / "images.npy", Path(folder) / "pruned.onnx"
        np.save(inputs, images[: chosen.images])
        for density in DENSITIES:
            cells = []
            for scope in ("layer", "global"):
                made = archmodel.prune(str(chosen.dense), pruned, density=density, scope=scope, inputs=[str(inputs)])
                assert made.effect is not None
                cells.append(f"{made.effect.least_cosine:9.4f} {accuracy(pruned, images, labels):9.1%}")
            print(f"{density:7.2f}  {cells[0]:>27}  {cells[1]:>26}")
