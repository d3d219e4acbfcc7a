"""src/base/rng.h in numpy: the same numbers, so that fixtures name a key instead of storing inputs and weights.

u64 and uniform are the same bits; normal can differ in the last place (log and cos of two libraries).
"""
import numpy as np

ORDER, AUGMENT, DROPOUT, INIT, SPLIT, PHANTOM, TEST = range(1, 8)
PERTURBATION = 11
BOOTSTRAP = 13

MASK = (1 << 64) - 1


def mix64(x):
    """Array of uint64 -> array of uint64; the finaliser of SplitMix64."""
    x = np.asarray(x, dtype=np.uint64)
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def key(seed, purpose, epoch, index):
    k = mix64(np.uint64(seed & MASK))
    for part in (purpose, epoch, index):
        k = mix64(k ^ np.uint64(part & MASK))
    return k


def u64(k, i):
    return mix64(np.uint64(k) ^ mix64(i))


def uniform(k, count, first=0):
    """`count` float32 in [0, 1), exact."""
    i = np.arange(first, first + count, dtype=np.uint64)
    return (u64(k, i) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


def normal(k, count):
    """`count` float64."""
    i = np.arange(count, dtype=np.uint64)
    u = ((u64(k, 2 * i) >> np.uint64(11)).astype(np.float64) + 1.0) * 2.0**-53
    v = (u64(k, 2 * i + np.uint64(1)) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return np.sqrt(-2.0 * np.log(u)) * np.cos(6.283185307179586 * v)


def permutation(k, n):
    out = list(range(n))
    for i in range(n, 1, -1):
        j = ((int(u64(k, i)) >> 32) * i) >> 32
        out[i - 1], out[j] = out[j], out[i - 1]
    return np.array(out, dtype=np.uint32)


def name_number(name):
    """FNV-1a of a parameter's name."""
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h
