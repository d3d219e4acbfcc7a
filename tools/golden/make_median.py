#!/usr/bin/env python3
"""The median stopping rule by numpy's own median and mean: one digit for each of 240 searches, for tests/tune/test_trials.c.

Search c has c % 9 earlier trials; trial t of it has 1 + (c + 3 t) % 6 epochs, failed where (c + t) % 5 == 0, and its losses are
uniform numbers of the key (c, TEST, c, t). The trial judged is number 100, after 1 + c % 5 epochs; a median needs 1 + c % 3.
"""
import numpy as np
from keyed_rng import TEST, key, uniform


def stops(c):
    epochs, least = 1 + c % 5, 1 + c % 3
    means = []
    for t in range(c % 9):
        losses = uniform(key(c, TEST, c, t), 1 + (c + 3 * t) % 6).astype(np.float64)
        if (c + t) % 5 != 0 and len(losses) >= epochs:
            means.append(losses[:epochs].mean())
    best = uniform(key(c, TEST, c, 100), epochs).min()
    return len(means) >= least and best > np.median(means)


digits = "".join(str(int(stops(c))) for c in range(240))
print("\n".join(f'"{digits[i:i + 80]}"' for i in range(0, 240, 80)))
