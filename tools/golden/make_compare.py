"""Writes tests/fixtures/compare.json: two models' predictions of the same images, and what tells them apart.

usage: make_compare.py OUT.json

McNemar's test is scipy's (binomial, or chi-squared of the corrected statistic), DeLong's the definition of 1988 over all pairs, and the
paired bootstrap measures both sides on make_intervals.py's draws.
"""
import json
import math
import sys

import numpy as np
import scipy
from scipy import stats

from make_intervals import DRAWS, NAMES, Z, covariance, draw, draws, figures, kernel, percentiles

SEED = 20260602


def mcnemar(only_a, only_b):
    n = only_a + only_b
    if n < 25:
        return stats.binomtest(min(only_a, only_b), n, 0.5).pvalue if n > 0 else 1.0
    return float(stats.chi2.sf(max(0, abs(only_a - only_b) - 1) ** 2 / n, 1))


def clean(x):
    return None if x is None or math.isnan(x) else float(x)


def case(name, label, p, q, thresholds, group):
    positive = 1 if p.shape[1] == 2 else -1
    sides = [figures(label, x, positive, t) for x, t in zip((p, q), thresholds)]
    decided = [x.argmax(1) if positive < 0 else (x[:, 1].astype(np.float64) >= t).astype(int) for x, t in zip((p, q), thresholds)]
    right = [d == label for d in decided]
    only = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    gaps = {f: np.empty(DRAWS) for f in NAMES}
    for d, times in enumerate(draws(group)):
        a, b = (figures(np.repeat(label, times), np.repeat(x, times, 0), positive, t) for x, t in zip((p, q), thresholds))
        for f in NAMES:
            gaps[f][d] = b[f] - a[f]
    ci95, auroc_p = {f: percentiles(gaps[f]) for f in NAMES}, None
    if positive >= 0:
        a, b = (kernel(label, x[:, 1]) for x in (p, q))
        se = math.sqrt(covariance(a, a) + covariance(b, b) - 2 * covariance(a, b))
        gap = sides[1]["auroc"] - sides[0]["auroc"]
        ci95["auroc"], auroc_p = [gap - Z * se, gap + Z * se], float(2 * stats.norm.sf(abs(gap) / se))
    return {"name": name, "classes": p.shape[1], "label": label.tolist(), "group": group, "only": only, "auroc_p": auroc_p,
            "sides": [{"classes": p.shape[1], "label": label.tolist(), "probability": [float(f"{v:.9g}") for v in x.ravel()],
                       "decided": d.tolist(), "value": {f: clean(s[f]) for f in NAMES}} for x, d, s in zip((p, q), decided, sides)],
            "mcnemar_p": mcnemar(*only), "ci95": ci95}


def noisy(rng, p, size):
    z = np.log(np.clip(p, 1e-6, 1).astype(np.float64)) + rng.normal(size=p.shape) * size
    e = np.exp(z - z.max(1, keepdims=True))
    return (e / e.sum(1, keepdims=True)).astype(np.float32)


def main():
    rng = np.random.default_rng(SEED)
    label, p = draw(rng, 50, 2, 1, 0, 1)
    cases = [case("two classes", label, p, noisy(rng, p, 1.0), (0.5, 0.4), [f"patient {i}" for i in rng.integers(0, 20, 50)])]
    label, p = draw(rng, 60, 3, 1, 0, 1)
    cases.append(case("three classes", label, p, noisy(rng, p, 2.0), (0.5, 0.5), [f"image {i:02}" for i in range(60)]))
    pairs = [(0, 0), (1, 0), (3, 9), (12, 12), (24, 0), (0, 25), (12, 13), (40, 20), (500, 400)]
    head = {"made_by": "tools/golden/make_compare.py", "seed": SEED, "scipy": scipy.__version__, "numpy": np.__version__,
            "mcnemar": [[*pair, mcnemar(*pair)] for pair in pairs], "cases": cases}
    with open(sys.argv[1], "w") as f:
        json.dump(head, f, separators=(",", ":"))
        f.write("\n")


main()
