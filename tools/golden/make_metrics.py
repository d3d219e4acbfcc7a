"""Writes tests/fixtures/metrics.json: random predictions and scikit-learn's figures for them.

usage: make_metrics.py OUT.json

An undefined figure is null: scikit-learn's zero_division=nan, and roc_auc_score / average_precision_score / matthews_corrcoef
where they warn. ECE, which scikit-learn lacks, is written as Guo et al. (2017) did in numpy.
The loss is log_loss of the float32 probabilities clipped at float32's resolution (what it does itself for float32 input),
but summed in float64.
"""
import json
import math
import sys
import warnings

import numpy as np
import sklearn
from sklearn import metrics as skm

SEED = 20240611
NAMES = ["accuracy", "balanced_accuracy", "sensitivity", "specificity", "ppv", "npv", "f1", "auroc", "auprc", "loss", "mcc", "brier",
         "ece"]


def ranking(y, score):
    both, some = 0 < y.sum() < len(y), y.sum() > 0
    return (skm.roc_auc_score(y, score) if both else math.nan,
            skm.average_precision_score(y, score) if some else math.nan)


def one_vs_rest(y, decided, score):
    nan = {"zero_division": np.nan}
    auroc, auprc = ranking(y, score)
    return {"sensitivity": skm.recall_score(y, decided, **nan),
            "specificity": skm.recall_score(y, decided, pos_label=0, **nan),
            "ppv": skm.precision_score(y, decided, **nan),
            "npv": skm.precision_score(y, decided, pos_label=0, **nan),
            "f1": skm.f1_score(y, decided, **nan),
            "auroc": auroc, "auprc": auprc}


def calibration_error(label, p, bins=15):
    confidence, right = p.max(1).astype(np.float64), p.argmax(1) == label
    edges, total = np.linspace(0, 1, bins + 1), 0.0
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return total


def brier(label, p, positive):
    if p.shape[1] == 2:
        return skm.brier_score_loss(label == positive, p[:, positive].astype(np.float64), pos_label=True)
    return skm.brier_score_loss(label, p.astype(np.float64), labels=range(p.shape[1]))


def expected(label, p, positive, threshold):
    n, classes = p.shape
    decided = p.argmax(1)
    if classes == 2:
        decided = np.where(p[:, positive].astype(np.float64) >= threshold, positive, 1 - positive)
    eps = np.finfo(np.float32).eps
    clipped = np.clip(p, eps, np.float32(1) - eps).astype(np.float64)
    value = {"accuracy": skm.accuracy_score(label, decided),
             "balanced_accuracy": skm.balanced_accuracy_score(label, decided),
             "loss": skm.log_loss(label, y_proba=clipped, labels=range(classes)),
             "mcc": skm.matthews_corrcoef(label, decided) if len(set(label)) > 1 and len(set(decided)) > 1 else math.nan,
             "brier": brier(label, p, positive),
             "ece": calibration_error(label, p)}
    rest = [one_vs_rest((label == k).astype(int), (decided == k).astype(int), p[:, k]) for k in range(classes)]
    if classes == 2:
        value |= rest[positive]
    else:
        value |= {name: float(np.mean([r[name] for r in rest])) for name in rest[0]}
        if len(set(label)) == classes:  # our per-class means are scikit-learn's own macro averages
            q = p.astype(np.float64) / p.astype(np.float64).sum(1, keepdims=True)
            ours = np.mean([ranking((label == k).astype(int), q[:, k])[0] for k in range(classes)])
            assert abs(skm.roc_auc_score(label, q, multi_class="ovr", average="macro") - ours) < 1e-12
            macro = skm.recall_score(label, decided, average="macro", labels=range(classes))
            assert abs(macro - value["sensitivity"]) < 1e-12
    out = {"value": {name: clean(value[name]) for name in NAMES},
           "confusion": skm.confusion_matrix(label, decided, labels=range(classes)).tolist()}
    if classes > 2:
        out["per_class"] = {name: [clean(r[name]) for r in rest] for name in rest[0]}
    return out


def clean(x):
    return None if math.isnan(x) else float(x)


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def draw(rng, n, classes, skew, levels, sharp):
    """Labels with class 0 `skew` times as likely as another; probabilities in `levels` steps (0: continuous)."""
    share = np.r_[skew, np.ones(classes - 1)]
    label = rng.choice(classes, n, p=share / share.sum())
    p = softmax(sharp * (rng.normal(size=(n, classes)) + 1.2 * np.eye(classes)[label])).astype(np.float32)
    if levels and classes == 2:
        p[:, 1] = np.round(p[:, 1] * levels) / levels
        p[:, 0] = np.float32(1) - p[:, 1]
    elif levels:
        cut = np.floor(p * levels)
        cut[:, 0] += levels - cut.sum(1)
        p = (cut / levels).astype(np.float32)
    return label, p


def cases(rng):
    for classes in (2, 2, 3, 4, 5):
        for n in (2, 3, 17, 48):
            for skew, levels, sharp in ((1, 0, 1), (1, 8, 2), (12, 0, 4), (0.1, 4, 1), (1, 0, 40)):
                yield f"{classes} classes, n {n}, skew {skew}, levels {levels}, sharp {sharp}", *draw(rng, n, classes, skew, levels,
                                                                                                     sharp)
    same = np.full((6, 2), 0.5, np.float32)
    yield "all scores tie", np.array([0, 1, 1, 0, 1, 1]), same
    yield "one class only, the second", np.ones(6, int), draw(rng, 6, 2, 1, 0, 1)[1]
    yield "one class only, the first", np.zeros(6, int), draw(rng, 6, 2, 1, 0, 1)[1]
    yield "one image", np.array([1]), np.array([[0.25, 0.75]], np.float32)
    yield "certain and right", np.array([0, 1]), np.eye(2, dtype=np.float32)
    yield "certain and wrong", np.array([1, 0]), np.eye(2, dtype=np.float32)
    yield "never predicted", np.array([0, 1, 2, 0]), np.array([[.5, .5, 0], [.25, .5, .25], [.5, .5, 0], [1, 0, 0]], np.float32)


def main():
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(SEED)
    made = []
    for i, (name, label, p) in enumerate(cases(rng)):
        positive = i % 2 if p.shape[1] == 2 else -1
        threshold = (0.5, 0.25, 0.7)[i % 3]
        flat = [float(f"{x:.9g}") for x in p.ravel()]
        made.append({"name": name, "classes": p.shape[1], "positive": positive, "threshold": threshold,
                     "label": label.tolist(), "probability": flat} | expected(label, p, positive, threshold))
    head = {"made_by": "tools/golden/make_metrics.py", "seed": SEED, "scikit-learn": sklearn.__version__, "numpy": np.__version__}
    with open(sys.argv[1], "w") as f:
        f.write(json.dumps(head)[:-1] + ', "cases": [\n')
        f.write(",\n".join(json.dumps(c, separators=(",", ":")) for c in made) + "\n]}\n")


if __name__ == "__main__":
    main()
