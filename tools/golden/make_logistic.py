"""Writes tests/fixtures/logistic.json: weights of scikit-learn's LogisticRegression, and out-of-fold probabilities of a pipeline that
standardises the features of the other folds.

usage: make_logistic.py OUT.json
"""
import json
import sys
import warnings

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 20260611


def regression(c):
    return LogisticRegression(C=c, tol=1e-14, max_iter=10000, solver="newton-cholesky")


def case(rng, name, n, width, c, share, apart, folds):
    y = (np.arange(n) < share * n).astype(int)
    rng.shuffle(y)
    x = (rng.normal(size=(n, width)) * rng.uniform(0.1, 3, width) + rng.normal(size=width) * 2 + apart * y[:, None]).astype(np.float32)
    x[:, 0] = 1.5  # says nothing
    fold = rng.integers(0, folds, n)
    x = np.float32([float(f"{v:.6g}") for v in x.ravel()]).reshape(n, width)
    fit = regression(c).fit(x.astype(np.float64), y)
    out = cross_val_predict(make_pipeline(StandardScaler(), regression(c)), x.astype(np.float64), y, cv=PredefinedSplit(fold),
                            method="predict_proba")[:, 1]
    return {"name": name, "n": n, "width": width, "c": c, "x": [float(f"{v:.6g}") for v in x.ravel()], "second": y.tolist(),
            "weights": [*fit.coef_[0].tolist(), float(fit.intercept_[0])], "folds": folds, "fold": fold.tolist(),
            "out_of_fold": out.tolist()}


def main():
    warnings.simplefilter("error")
    rng = np.random.default_rng(SEED)
    cases = [case(rng, "a few numbers", 40, 3, 1.0, 0.5, 0.3, 2), case(rng, "a strong penalty", 90, 20, 0.01, 0.2, 0.2, 5),
             case(rng, "more numbers than images", 30, 41, 0.1, 0.5, 0.3, 3), case(rng, "apart", 60, 5, 100.0, 0.3, 4.0, 5)]
    with open(sys.argv[1], "w") as f:
        json.dump({"made_by": "tools/golden/make_logistic.py", "seed": SEED, "scikit-learn": sklearn.__version__,
                   "numpy": np.__version__, "cases": cases}, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
