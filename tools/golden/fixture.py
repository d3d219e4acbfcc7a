"""Golden fixtures: the text files that tests/golden.h reads, and the keyed inputs that both sides make."""
import os
import sys

import numpy as np

import keyed_rng as rng

SUMMARY = 19


class Fixture:
    """Entries "name count" and count numbers, after comment lines with versions and seed."""

    def __init__(self, seed, versions):
        self.lines = [f"# written by tools/make_golden.py, seed {seed}", "# " + ", ".join(versions)]

    def put(self, name, values):
        values = np.asarray(values, dtype=np.float64).ravel()
        assert np.isfinite(values).all(), name
        self.lines.append(f"{name} {values.size}")
        self.lines += [" ".join(f"{v:.9g}" for v in values[i : i + 10]) for i in range(0, values.size, 10)]

    def write(self, folder, name):
        path = os.path.join(folder, name)
        with open(path, "w") as f:
            f.write("\n".join(self.lines) + "\n")
        print(f"{path}: {os.path.getsize(path)} bytes", file=sys.stderr)


def keyed(seed, index):
    """cxr_keyed()."""
    return rng.key(seed, rng.TEST, 0, index)


def fill(k, shape, low, high):
    """cxr_keyed_fill(): float32 values as float64."""
    low, high = float(np.float32(low)), float(np.float32(high))
    u = rng.uniform(k, int(np.prod(shape))).astype(np.float64)
    return (low + (high - low) * u).astype(np.float32).astype(np.float64).reshape(shape)


def pixels(k, shape):
    """cxr_keyed_pixels()."""
    return (rng.u64(k, np.arange(int(np.prod(shape)), dtype=np.uint64)) >> np.uint64(56)).astype(np.float64).reshape(shape)


def dropout_scale(k, node, shape, rate):
    """What dropout multiplies each element of node `node` by: cxr_dropout_keep()."""
    mask = rng.uniform(rng.key(int(k), rng.DROPOUT, 0, node), int(np.prod(shape))) >= np.float32(rate)
    return mask.astype(np.float64).reshape(shape) / (1.0 - rate)


def summary(seed, name, x):
    """cxr_summarize(): norm, sum, dot with a keyed direction, 16 samples."""
    k = rng.key(seed, rng.TEST, 1, rng.name_number(name))  # not the weights' key: gradients are orthogonal to weights
    x = np.asarray(x, dtype=np.float64).ravel()
    direction = 2.0 * rng.uniform(k, x.size).astype(np.float64) - 1.0
    at = rng.u64(k, np.arange(x.size + 3, x.size + SUMMARY, dtype=np.uint64)) % np.uint64(x.size)
    return np.concatenate([[np.sqrt((x * x).sum()), x.sum(), (x * direction).sum()], x[at.astype(np.int64)]])
