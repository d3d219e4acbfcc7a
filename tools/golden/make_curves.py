"""Writes tests/fixtures/curves.json: random predictions of two classes and scikit-learn's curves of them.

usage: make_curves.py OUT.json

roc_curve with nothing dropped, and precision_recall_curve turned round, so that both go by falling threshold. An infinite
threshold and what is not defined (where they warn) are null.
"""
import json
import sys
import warnings

import numpy as np
import sklearn
from sklearn import metrics as skm

from make_metrics import draw

SEED = 20261124


def clean(values):
    return [float(x) if np.isfinite(x) else None for x in values]


def case(rng, n, skew, levels):
    label, p = draw(rng, n, 2, skew, levels, 1)
    y, score = (label == 1).astype(int), p[:, 1]
    fpr, tpr, thresholds = skm.roc_curve(y, score, drop_intermediate=False)
    precision, recall, at = skm.precision_recall_curve(y, score)
    assert np.array_equal(thresholds[1:], at[::-1])
    if y.sum() == 0:  # scikit-learn puts 1 there, and warns
        recall[:] = np.nan
    return {"classes": 2, "label": label.tolist(), "probability": [float(f"{x:.9g}") for x in p.ravel()],
            "threshold": clean(thresholds), "fpr": clean(fpr), "tpr": clean(tpr), "precision": clean(precision[::-1]),
            "recall": clean(recall[::-1])}


def main():
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(SEED)
    cases = [case(rng, n, skew, levels) for n in (1, 2, 3, 12, 40) for skew in (0.1, 1, 12) for levels in (0, 2, 8)]
    with open(sys.argv[1], "w") as f:
        f.write(f'{{"made_by": "tools/golden/make_curves.py", "seed": {SEED}, "scikit-learn": "{sklearn.__version__}", '
                f'"numpy": "{np.__version__}", "cases": [\n')
        f.write(",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]}\n")


if __name__ == "__main__":
    main()
