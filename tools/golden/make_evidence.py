"""Writes tests/fixtures/evidence.json: operating points, calibration and decision curves by scikit-learn, scipy and numpy.

usage: make_evidence.py OUT.json

points: counts of scikit-learn's confusion_matrix; predictive values at a prevalence by Bayes' rule, their intervals by the delta
method on the logit scale with derivatives taken numerically (Mercaldo, Lau, Zhou 2007), each count having gained z^2 / 2 where one
of them is 0. calibration: brier_score_loss, calibration_curve of ten bins of equal width, the parts of Stephenson, Coelho, Jolliffe
(2008) from their definitions, which must add up to the score; slope by LogisticRegression without a penalty, intercept with the
slope held at 1 by scipy's brentq, standard errors from the information matrix. decision: net benefit by its definition (Vickers,
Elkin 2006).
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
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, confusion_matrix

from make_metrics import draw

SEED = 20260704
Z = stats.norm.ppf(0.975)
BINS = 10


# ---- Operating points ----

def gradient(f, x):
    steps = 1e-6 * np.asarray(x)
    return np.array([(f(x + np.where(np.arange(len(x)) == i, h, 0)) - f(x - np.where(np.arange(len(x)) == i, h, 0))) / (2 * h)
                     for i, h in enumerate(steps)])


def predictive(value, counts):
    """value: of (sensitivity, specificity). counts: tp, fn, fp, tn."""
    tp, fn, fp, tn = counts
    if tp + fn == 0 or fp + tn == 0:
        return [None, None]
    with np.errstate(all="ignore"):
        v = value(np.array([tp / (tp + fn), tn / (tn + fp)]))
    if math.isnan(v):
        return [None, None]
    if min(counts) == 0:
        tp, fn, fp, tn = (c + Z * Z / 2 for c in counts)
    rates = np.array([tp / (tp + fn), tn / (tn + fp)])
    variance = rates * (1 - rates) / np.array([tp + fn, tn + fp])
    half = Z * math.sqrt((gradient(lambda r: logit(value(r)), rates)**2 * variance).sum())
    at = logit(value(rates))
    return [v, [float(min(expit(at - half), v)), float(max(expit(at + half), v))]]


def at_prevalence(counts, share):
    def ppv(r):
        return r[0] * share / (r[0] * share + (1 - r[1]) * (1 - share))

    def npv(r):
        return r[1] * (1 - share) / (r[1] * (1 - share) + (1 - r[0]) * share)
    return [predictive(ppv, counts), predictive(npv, counts)]


def points(rng):
    for n, skew, sharp, levels in ((30, 1, 1, 0), (200, 5, 1, 0), (80, 1, 3, 8), (40, 1, 0.3, 0)):
        label, p = draw(rng, n, 2, skew, levels, sharp)
        label[:2] = 0, 1
        for threshold, share in ((0.5, 0.1), (0.25, 0.01), (0.95, 0.5), (0.0, 0.3), (1.0, 0.3)):
            tn, fp, fn, tp = confusion_matrix(label, p[:, 1].astype(np.float64) >= threshold, labels=[0, 1]).ravel()
            counts = [int(c) for c in (tp, fn, fp, tn)]
            yield {"label": label.tolist(), "probability": [float(f"{x:.9g}") for x in p.ravel()], "classes": 2,
                   "threshold": threshold, "prevalence": share, "counts": counts, "at": at_prevalence(counts, share)}


# ---- Calibration ----

def decomposition(y, f):
    bins = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], f)
    n, rate = len(y), y.mean()
    parts = dict.fromkeys(("reliability", "resolution", "within_bin_variance", "within_bin_covariance"), 0.0)
    for b in np.unique(bins):
        fk, yk = f[bins == b], y[bins == b]
        parts["reliability"] += len(fk) * (fk.mean() - yk.mean())**2 / n
        parts["resolution"] += len(fk) * (yk.mean() - rate)**2 / n
        parts["within_bin_variance"] += ((fk - fk.mean())**2).sum() / n
        parts["within_bin_covariance"] += 2 * ((fk - fk.mean()) * (yk - yk.mean())).sum() / n
    parts["uncertainty"] = rate * (1 - rate)
    parts["brier"] = brier_score_loss(y, f)
    total = (parts["reliability"] - parts["resolution"] + parts["uncertainty"] + parts["within_bin_variance"] -
             parts["within_bin_covariance"])
    assert abs(total - parts["brier"]) < 1e-14, (total, parts)
    observed, mean = calibration_curve(y, f, n_bins=BINS)
    counts = np.bincount(bins, minlength=BINS)
    table = [[int(b), int(counts[b]), float(mean[i]), float(observed[i])] for i, b in enumerate(np.flatnonzero(counts))]
    return {k: float(v) for k, v in parts.items()} | {"table": table}


def recalibration(y, f):
    """[value, standard error] of slope and intercept; null where the classes are parted or one is missing."""
    eps = np.finfo(np.float32).eps
    x = logit(np.clip(f, eps, 1 - float(eps)))
    if y.min() == y.max():
        return {"slope": None, "intercept": None}
    a = brentq(lambda a: (y - expit(x + a)).sum(), -50, 50, xtol=1e-14)
    out = {"intercept": [a, 1 / math.sqrt((expit(x + a) * (1 - expit(x + a))).sum())], "slope": None}
    apart = x[y == 1].min() >= x[y == 0].max() or x[y == 1].max() <= x[y == 0].min()
    if not apart:
        fit = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-14, max_iter=1000).fit(x[:, None], y)
        p = fit.predict_proba(x[:, None])[:, 1]
        design = np.c_[np.ones_like(x), x]
        information = design.T @ (design * (p * (1 - p))[:, None])
        out["slope"] = [float(fit.coef_[0, 0]), math.sqrt(np.linalg.inv(information)[1, 1])]
    return out


def calibration(rng):
    for n, skew, sharp, levels in ((20, 1, 1, 0), (300, 1, 1, 0), (300, 5, 4, 0), (200, 1, 0.3, 0), (100, 1, 1, 4), (60, 1, 30, 0)):
        label, p = draw(rng, n, 2, skew, levels, sharp)
        label[:2] = 0, 1
        yield calibration_case(label, p)
    half = np.full((6, 2), 0.5, np.float32)
    yield calibration_case(np.array([0, 1, 0, 1, 1, 1]), half) | {"slope": None}
    yield calibration_case(np.array([0, 0, 1, 1]), np.array([[.9, .1], [.7, .3], [.4, .6], [.2, .8]], np.float32))
    yield calibration_case(np.zeros(4, int), np.array([[.9, .1], [.7, .3], [.4, .6], [0, 1]], np.float32))


def calibration_case(label, p):
    y, f = label.astype(float), p[:, 1].astype(np.float64)
    flat = f.min() == f.max()
    return {"label": label.tolist(), "probability": [float(f"{x:.9g}") for x in p.ravel()], "classes": 2,
            **decomposition(y, f), **(recalibration(y, f) if not flat else {"intercept": recalibration_offset(y, f)})}


def recalibration_offset(y, f):
    x = logit(f)
    a = brentq(lambda a: (y - expit(x + a)).sum(), -50, 50, xtol=1e-14)
    return [a, 1 / math.sqrt((expit(x + a) * (1 - expit(x + a))).sum())]


# ---- Decision curve ----

def decision(rng):
    for n, skew, sharp, levels in ((25, 1, 1, 0), (200, 5, 2, 0), (100, 1, 1, 100)):
        label, p = draw(rng, n, 2, skew, levels, sharp)
        f = p[:, 1].astype(np.float64)
        rows = []
        for k in range(1, 100):
            t = k / 100
            called = f >= t
            tp, fp = (called & (label == 1)).sum(), (called & (label == 0)).sum()
            rows.append([t, float(tp / n - fp / n * t / (1 - t)), float(label.mean() - (1 - label.mean()) * t / (1 - t))])
        yield {"label": label.tolist(), "probability": [float(f"{x:.9g}") for x in p.ravel()], "classes": 2, "curve": rows}


def main():
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(SEED)
    head = {"made_by": "tools/golden/make_evidence.py", "seed": SEED, "scipy": scipy.__version__,
            "scikit-learn": sklearn.__version__, "numpy": np.__version__, "points": list(points(rng)),
            "calibration": list(calibration(rng)), "decision": list(decision(rng))}
    with open(sys.argv[1], "w") as f:
        json.dump(head, f, separators=(",", ":"), allow_nan=False)
        f.write("\n")


main()
