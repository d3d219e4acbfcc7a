"""Writes tests/fixtures/intervals.json: 95 % intervals by scipy, by the published definitions in numpy, and by resampling.

usage: make_intervals.py OUT.json

DeLong's variance is the definition of 1988, over all pairs, not the fast form that cxr uses; it must also give the standard
error and the interval that Stata's manual ([R] roctab) prints for the ratings of Hanley and McNeil (1982). Newcombe's method 5 is
solved by scipy. A draw of the bootstrap repeats the images of the groups that keyed_rng.py's numbers name; its figures are numpy's,
and make_metrics.py's, scikit-learn's that is, must be equal in every 100th draw.
"""
import json
import math
import sys
import warnings

import numpy as np
import scipy
import sklearn
from scipy import stats
from scipy.optimize import brentq

import keyed_rng
from make_metrics import NAMES, calibration_error, clean, draw, expected

SEED, DRAWS = 20260601, 2000
Z = stats.norm.ppf(0.975)


# ---- Formulas ----

def wilson():
    return [[k, n, *stats.binomtest(k, n).proportion_ci(0.95, method="wilson")]
            for k, n in ((0, 1), (1, 1), (0, 17), (3, 17), (8, 16), (17, 17), (614, 624), (1, 100000), (99999, 100000))]


def kernel(y, score):
    positive, negative = score[y == 1][:, None], score[y == 0][None, :]
    return (positive > negative) + 0.5 * (positive == negative)


def covariance(a, b):
    total = 0.0
    for axis, n in ((1, a.shape[0]), (0, a.shape[1])):
        u, v = a.mean(axis), b.mean(axis)
        total += np.cov(u, v, ddof=1)[0, 1] / n
    return total


def newcombe(auroc, m, n):
    def gap(x):
        v = x * (1 - x) * (1 + ((m + n) / 2 - 1) * ((1 - x) / (2 - x) + x / (1 + x))) / (m * n)
        return abs(auroc - x) - Z * math.sqrt(v)
    low = 0.0 if auroc == 0 else brentq(gap, 0.0, auroc * (1 - 1e-12), xtol=1e-15)
    return [low, 1.0 if auroc == 1 else brentq(gap, auroc + (1 - auroc) * 1e-12, 1.0, xtol=1e-15)]


def delong_case(name, y, scores):
    k = [kernel(y, np.asarray(s, np.float32).astype(np.float64)) for s in scores]
    out = {"name": name, "label": [int(v) for v in y], "score": [[float(f"{v:.9g}") for v in np.float32(s)] for s in scores],
           "auroc": [float(x.mean()) for x in k]}
    defined = min(k[0].shape) >= 2
    out["covariance"] = [clean(covariance(k[a], k[b])) if defined else None for a, b in ((0, 0), (1, 1), (0, 1))]
    out["ci95"] = []
    for a in range(2):
        auroc, variance = out["auroc"][a], out["covariance"][a]
        if variance:
            logit, half = math.log(auroc / (1 - auroc)), Z * math.sqrt(variance) / (auroc * (1 - auroc))
            out["ci95"].append([1 / (1 + math.exp(-(logit - half))), 1 / (1 + math.exp(-(logit + half)))])
        else:
            out["ci95"].append(newcombe(auroc, *k[a].shape))
    return out


def hanley():
    """109 images rated 1 to 5 (Hanley and McNeil 1982, table I)."""
    normal, abnormal = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)
    score = np.repeat(np.tile(np.arange(5) / 4, 2), normal + abnormal)
    y = np.repeat([0, 1], [sum(normal), sum(abnormal)])
    case = delong_case("Hanley and McNeil", y, [score, 1 - score])
    se = math.sqrt(case["covariance"][0])
    printed = f"{case['auroc'][0]:.4f} {se:.4f} {case['auroc'][0] - Z * se:.5f} {case['auroc'][0] + Z * se:.5f}"
    assert printed == "0.8932 0.0307 0.83295 0.95339", printed
    return case


def delong(rng):
    yield hanley()
    for n, levels, sharp in ((5, 0, 1), (30, 4, 1), (60, 0, 1), (200, 16, 2), (200, 0, 4)):
        y, p = draw(rng, n, 2, 1, levels, sharp)
        y[:4] = 0, 1, 0, 1
        q = np.clip(p[:, 1] + rng.normal(size=n) * 0.1, 0, 1)
        yield delong_case(f"n {n}, levels {levels}, sharp {sharp}", y, [p[:, 1], q])
    yield delong_case("apart; all tied", np.array([0, 0, 0, 1, 1]), [np.arange(5) / 5, np.full(5, .5)])
    yield delong_case("the wrong way round; one error", np.array([0, 0, 1, 1]), [np.array([.9, .8, .2, .1]), np.array([.1, .5, .4, .9])])
    yield delong_case("one of each", np.array([1, 0]), [np.array([.9, .2]), np.array([.2, .9])])
    yield delong_case("one positive", np.array([1, 0, 0, 0]), [np.array([.5, .2, .7, .1]), np.array([.2, .9, .2, .3])])


# ---- Bootstrap ----

def share(part, whole):
    return part / whole if whole > 0 else math.nan


def ranking(y, score):
    """Areas under the ROC, over all pairs, and of precision over recall, threshold by threshold."""
    auroc = kernel(y, score).mean() if 0 < y.sum() < len(y) else math.nan
    if y.sum() == 0:
        return auroc, math.nan
    called = score[None, :] >= np.unique(score)[::-1][:, None]
    tp = (called & (y == 1)).sum(1)
    return auroc, float((np.diff(tp, prepend=0) / y.sum() * (tp / called.sum(1))).sum())


def figures(label, p, positive, threshold):
    """make_metrics.expected()'s values, faster."""
    n, classes = p.shape
    decided = p.argmax(1) if classes > 2 else np.where(p[:, positive].astype(np.float64) >= threshold, positive, 1 - positive)
    c = np.zeros((classes, classes))
    np.add.at(c, (label, decided), 1)
    rows, columns, right = c.sum(1), c.sum(0), np.trace(c)
    spread = math.sqrt(n * n - (rows**2).sum()) * math.sqrt(n * n - (columns**2).sum())
    eps = np.float64(np.finfo(np.float32).eps)
    error = p.astype(np.float64) - np.eye(classes)[label]
    value = {"accuracy": right / n, "balanced_accuracy": (np.diag(c)[rows > 0] / rows[rows > 0]).mean(),
             "loss": -np.log(np.clip(p[np.arange(n), label].astype(np.float64), eps, 1 - eps)).mean(),
             "mcc": share(right * n - (rows * columns).sum(), spread), "ece": calibration_error(label, p),
             "brier": (error[:, positive]**2).mean() if classes == 2 else (error**2).sum(1).mean()}
    each = []
    for k in [positive] if classes == 2 else range(classes):
        tp, tn = c[k, k], n - rows[k] - columns[k] + c[k, k]
        auroc, auprc = ranking((label == k).astype(int), p[:, k])
        each.append({"sensitivity": share(tp, rows[k]), "specificity": share(tn, n - rows[k]), "ppv": share(tp, columns[k]),
                     "npv": share(tn, n - columns[k]), "f1": share(2 * tp, rows[k] + columns[k]), "auroc": auroc, "auprc": auprc})
    return value | {f: float(np.mean([e[f] for e in each])) for f in each[0]}


def check_figures(got, want):
    for f in NAMES:
        assert math.isnan(got[f]) if want[f] is None else abs(got[f] - want[f]) < 1e-12, (f, got[f], want[f])


def percentiles(values):
    defined = values[~np.isnan(values)]
    if len(values) - len(defined) > len(values) // 20 or len(defined) == 0 or defined.min() == defined.max():
        return None
    return [float(v) for v in np.percentile(defined, [2.5, 97.5])]


def draws(group):
    """How often each image is in each draw."""
    names, numbers = np.unique(group, return_inverse=True)
    for d in range(DRAWS):
        key = keyed_rng.key(1, keyed_rng.BOOTSTRAP, d, 0)
        drawn = ((keyed_rng.u64(key, np.arange(len(names), dtype=np.uint64)) >> np.uint64(32)) * np.uint64(len(names))) >> np.uint64(32)
        yield np.bincount(drawn.astype(int), minlength=len(names))[numbers]


def bootstrap_case(name, label, p, positive, threshold, group):
    values = {f: np.empty(DRAWS) for f in NAMES}
    for d, times in enumerate(draws(group)):
        drawn = np.repeat(label, times), np.repeat(p, times, 0), positive, threshold
        found = figures(*drawn)
        if d % 100 == 0:
            check_figures(found, expected(*drawn)["value"])
        for f in NAMES:
            values[f][d] = found[f]
    return {"name": name, "classes": p.shape[1], "positive": positive, "threshold": threshold, "label": label.tolist(),
            "probability": [float(f"{x:.9g}") for x in p.ravel()], "group": list(group),
            "ci95": {f: percentiles(values[f]) for f in NAMES}}


def bootstrap(rng):
    label, p = draw(rng, 40, 2, 1, 0, 1)
    yield bootstrap_case("an image each", label, p, 1, 0.5, [f"image {i:02}" for i in range(40)])
    group = [f"patient {i}" for i in rng.integers(0, 14, 40)]
    yield bootstrap_case("patients", label, p, 0, 0.4, group)
    label, p = draw(rng, 30, 2, 14, 8, 1)
    label[0] = 1
    yield bootstrap_case("one positive", label, p, 1, 0.5, [f"{i:02}" for i in range(30)])
    label, p = draw(rng, 60, 3, 1, 0, 1)
    yield bootstrap_case("three classes", label, p, -1, 0.5, [f"patient {i}" for i in rng.integers(0, 25, 60)])


def main():
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(SEED)
    head = {"made_by": "tools/golden/make_intervals.py", "seed": SEED, "scipy": scipy.__version__,
            "scikit-learn": sklearn.__version__, "numpy": np.__version__, "wilson": wilson(), "delong": list(delong(rng)),
            "bootstrap": list(bootstrap(rng))}
    with open(sys.argv[1], "w") as f:
        json.dump(head, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
