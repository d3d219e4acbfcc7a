"""Writes tests/fixtures/scope.json: what cxr says of a picture and of features far from others, by Pillow, numpy and scikit-learn.

usage: make_scope.py OUT.json

Distances are those of probabilistic PCA: scikit-learn's PCA gives the log-likelihood of a sample, of which the squared Mahalanobis
distance is a part. How coloured a picture is comes from Pillow's YCbCr, or of RGB from JFIF's formula in doubles.
"""
import json
import math
import os
import sys

import numpy as np
import PIL
import sklearn
from PIL import Image
from sklearn.decomposition import PCA

SEED, IMAGES, PROBES, WIDTH, AXES = 20261124, 60, 12, 16, 5
PICTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "fixtures", "images")
NAMES = ["colour_420.jpg", "colour_444.jpg", "colour_progressive.jpg", "large_420.jpg", "rgb.jpg", "grey.jpg", "grey_as_ycc.jpg",
         "rgb_8.png", "rgb_16.png", "palette_8.png", "grey_8.png", "grey_alpha_8.png"]


def distances(rng):
    mix = rng.normal(size=(WIDTH, WIDTH)) * 0.7 ** np.arange(WIDTH)[:, None]
    x = np.float32(rng.normal(size=(IMAGES, WIDTH)) @ mix + 3.0)
    probe = np.float32(np.vstack([x[:3], x[3:6] + 1.0, rng.normal(size=(PROBES - 6, WIDTH)) * 4.0]))
    pca = PCA(AXES, svd_solver="full").fit(x.astype(np.float64))
    _, logdet = np.linalg.slogdet(pca.get_covariance())
    d = -2.0 * pca.score_samples(probe.astype(np.float64)) - WIDTH * math.log(2.0 * math.pi) - logdet
    return {"features": x.astype(float).tolist(), "probe": probe.astype(float).tolist(), "distance": d.tolist(),
            "variance": pca.explained_variance_.tolist(), "rest": float(pca.noise_variance_)}


def quantiles(rng):
    """The smallest value with at least ceil((n + 1)(1 - share)) of n values up to it."""
    out = []
    for n, share in ((1, 0.01), (10, 0.01), (98, 0.01), (99, 0.01), (100, 0.01), (199, 0.01), (525, 0.01), (525, 0.002), (40, 0.1)):
        values = rng.normal(size=n).round(6)
        level = min(1.0, math.ceil((n + 1) * (1 - share) - 1e-9) / n)
        out.append({"values": values.tolist(), "share": share, "quantile": float(np.quantile(values, level, method="inverted_cdf"))})
    return out


def likenesses(rng):
    a, b = rng.integers(0, 256, (2, 16, 16))
    b = (a // 2 + b // 2)[::1, ::-1]
    return {"small": a.ravel().tolist(), "other": b.ravel().tolist(),
            "likeness": [float(np.corrcoef(np.rot90(a, k).ravel(), b.ravel())[0, 1]) for k in range(4)]}


def chroma(name):
    with Image.open(os.path.join(PICTURES, name)) as img:
        if img.format == "JPEG" and name != "rgb.jpg":
            img.draft("YCbCr", img.size)
            return np.asarray(img.convert("YCbCr"), float)[..., 1:]
        rgb = np.asarray(img.convert("RGB") if img.mode != "LA" else img.convert("L").convert("RGB"), float)
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    return np.rint(np.stack([128 - 0.168736 * r - 0.331264 * g + 0.5 * b, 128 + 0.5 * r - 0.418688 * g - 0.081312 * b], -1))


def colour(name):
    c = chroma(name).reshape(-1, 2)
    return float(np.abs(c - c.mean(0)).mean(0).sum())


def main():
    rng = np.random.default_rng(SEED)
    fixture = {"versions": {"numpy": np.__version__, "Pillow": PIL.__version__, "scikit-learn": sklearn.__version__}, "seed": SEED,
               "gaussian": distances(rng), "quantiles": quantiles(rng), "likeness": likenesses(rng),
               "colour": {name: colour(name) for name in NAMES}}
    with open(sys.argv[1], "w") as f:
        json.dump(fixture, f, separators=(",", ":"))
        f.write("\n")


main()
