#!/usr/bin/env python3
"""Writes tests/fixtures/fit.json: random predictions, the temperature that PyTorch finds for them and the thresholds that
scikit-learn's ROC curve holds best.

usage: make_fit.py OUT.json

temperature: L-BFGS in float64 on the NLL of softmax(log p / T), plain and with inverse class frequencies (CrossEntropyLoss with
weights), within 0.1..10. threshold: of the positive class 1, the points of roc_curve with the largest tpr - fpr; among them the
one furthest from the score below it, then the middle nearest 0.5. (low, high] is where every threshold decides alike. Prediction i
is of set i % sets, each with a roc_curve of its own: the least of their tpr - fpr counts. rules: of those curves' points, the
largest threshold with a tpr of at least 0.95 in every set, and the smallest whose fpr is at most 0.05, each with the ends between
which every threshold decides as it does.
"""
import json
import sys

import numpy as np
import sklearn
import torch
from sklearn.metrics import roc_curve

SEED = 20240612
TINY = np.finfo(np.float32).tiny


def temperature(p, label, balanced):
    z = torch.from_numpy(np.log(np.maximum(p.astype(np.float64), TINY)))
    y = torch.from_numpy(label)
    counts = torch.bincount(y, minlength=p.shape[1]).double()
    weight = torch.where(counts > 0, 1 / counts, 0.0) if balanced else torch.ones(p.shape[1], dtype=torch.float64)
    log_b = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_b], max_iter=500, tolerance_grad=1e-14, tolerance_change=1e-16, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(z * log_b.exp(), y, weight=weight)
        loss.backward()
        return loss

    optimizer.step(closure)
    return float(min(max(torch.exp(-log_b).item(), 0.1), 10.0))


def youden(score, label, at):
    """tpr - fpr where what reaches a threshold of `at` is called positive: that of the curve's lowest point not below it."""
    fpr, tpr, points = roc_curve(label, score, drop_intermediate=False)
    return np.array([(tpr - fpr)[points >= t][-1] for t in at])


def threshold(p, label, sets):
    score = p[:, 1].astype(np.float64)
    values = np.unique(score)
    at = values[::-1]
    gains = np.min([youden(score[k::sets], label[k::sets], at) for k in range(sets)], axis=0)
    best = gains.max()
    if not best > 1e-12:
        return None
    gaps = []
    for t in at[np.isclose(gains, best, rtol=0, atol=1e-12)]:
        below = values[values < t]
        if len(below):
            gaps.append((t - below[-1], -abs((t + below[-1]) / 2 - 0.5), below[-1], t))
    return {"youden": float(best), "low": max(gaps)[2], "high": max(gaps)[3]}


def rules(p, label, sets):
    score = p[:, 1].astype(np.float64)
    values = np.unique(score)
    at = np.r_[np.inf, values[::-1]]
    curves = [roc_curve(label[k::sets], score[k::sets], drop_intermediate=False) for k in range(sets)]
    rates = np.array([[(fpr[t <= points][-1], tpr[t <= points][-1]) for t in at] for fpr, tpr, points in curves])
    out = {}
    if label.any():
        i = np.flatnonzero(rates[:, :, 1].min(0) >= 0.95 - 1e-12)[0]
        out["rule_out"] = [values[values < at[i]].max(initial=0.0), min(at[i], 1.0)]
    if not label.all():
        i = np.flatnonzero(rates[:, :, 0].max(0) <= 0.05 + 1e-12)[-1]
        ends = [values[values < at[i]].max(initial=0.0), min(at[i], 1.0)]
        out["rule_in"] = ends if ends[0] < 1.0 else None
    return out


def draw(rng, n, classes, skew, sharp, levels, sets=1):
    share = np.r_[skew, np.ones(classes - 1)]
    label = rng.choice(classes, n, p=share / share.sum())
    label[:classes] = np.arange(classes)
    label = np.repeat(label, sets)
    z = sharp * (rng.normal(size=(len(label), classes)) + 1.2 * np.eye(classes)[label])
    p = np.exp(z - z.max(1, keepdims=True))
    p = (p / p.sum(1, keepdims=True)).astype(np.float32)
    if levels:
        p[:, 1] = np.round(p[:, 1] * levels) / levels
        p[:, 0] = np.float32(1) - p[:, 1]
    return label.astype(np.int64), p


def main():
    rng = np.random.default_rng(SEED)
    cases = []
    for classes in (2, 3, 4):
        for n in (20, 60):
            for skew in (1, 5):
                for sharp in (0.3, 1, 4, 12):
                    for levels in (0, 8) if classes == 2 else (0,):
                        cases.append(draw(rng, n, classes, skew, sharp, levels))
    apart = np.array([[0.9, 0.1], [0.7, 0.3], [0.4, 0.6], [0.2, 0.8]], np.float32)
    cases.append((np.array([0, 0, 1, 1]), apart))
    cases.append((np.array([1, 1, 0, 0]), apart))
    cases.append((np.array([0, 1, 0, 1]), np.full((4, 2), 0.5, np.float32)))
    cases.append((np.array([0, 1, 0, 1]), np.array([[1, 0], [0, 1], [0.75, 0.25], [1, 0]], np.float32)))
    cases = [(*c, 1) for c in cases]
    for sets in (2, 7):
        for skew in (1, 5):
            for sharp in (0.3, 1, 4):
                for levels in (0, 8):
                    cases.append((*draw(rng, 20, 2, skew, sharp, levels, sets), sets))
    p = draw(rng, 41, 2, 1, 4, 0)[1]
    p[np.arange(41) % 9 == 0] = 0, 1
    cases.append((np.arange(41) % 3 // 2, p, 1))
    out = []
    for label, p, sets in cases:
        out.append({"classes": p.shape[1], "label": label.tolist(), "probability": [float(f"{x:.9g}") for x in p.ravel()],
                    "temperature": temperature(p, label, False), "balanced": temperature(p, label, True),
                    "sets": sets, "threshold": threshold(p, label, sets) if p.shape[1] == 2 else None,
                    "rules": rules(p, label, sets) if p.shape[1] == 2 else None})
    head = {"made_by": "tools/golden/make_fit.py", "seed": SEED, "torch": torch.__version__, "scikit-learn": sklearn.__version__,
            "numpy": np.__version__}
    with open(sys.argv[1], "w") as f:
        f.write(json.dumps(head)[:-1] + ', "cases": [\n')
        f.write(",\n".join(json.dumps(c, separators=(",", ":")) for c in out) + "\n]}\n")


main()
