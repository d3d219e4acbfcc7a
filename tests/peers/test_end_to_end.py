"""A trained model predicts the same in PyTorch: cxr trains on phantoms, its best.safetensors goes with load_state_dict into
torchvision's resnet18 with the same Sequential, and torchvision's transforms and that network give cxr's probabilities. The
figures of `cxr evaluate` are scikit-learn's on its own predictions.csv. With CXR_PEERS_DATA and CXR_PEERS_WEIGHTS set (a data
set, a ResNet-18 weight file) the same is done on real images."""
import csv
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import safetensors
import safetensors.torch
import sklearn.metrics as sk
import torch
import torchvision
from PIL import Image
from torchvision import transforms
from torchvision.transforms import functional as F

PROBABILITY_GAP = 1e-4  # float32 through 18 layers, Winograd and folded batch norms on one side
FIGURE_GAP = 1e-6  # predictions.csv keeps nine digits


def cxr(program, *args):
    return subprocess.run([program, *args], check=True, stdout=subprocess.PIPE, text=True).stdout


def network(meta):
    model, layers, width = torchvision.models.resnet18(weights=None), [], 512
    for w in json.loads(meta["cxr.head"]):
        layers += [torch.nn.Linear(width, w), torch.nn.BatchNorm1d(w), torch.nn.ReLU(), torch.nn.Dropout(0.5)]
        width = w
    model.fc = torch.nn.Sequential(*layers, torch.nn.Linear(width, len(json.loads(meta["cxr.classes"]))), torch.nn.LogSoftmax(1))
    return model


def views_of(image, size, tta):
    """What --tta averages over; without, the image alone."""
    views = [F.resize(image, [size, size])]
    larger = F.five_crop(F.resize(image, [round(size * 8 / 7)] * 2), [size, size])
    if tta == "scales":
        views += [larger[4], F.center_crop(F.resize(image, [round(size * 4 / 3)] * 2), [size, size])]
    if tta == "crops":
        views += larger
    return views if tta == "none" else views + [F.hflip(v) for v in views]


def torch_probabilities(path, rows, tta):
    with safetensors.safe_open(path, "pt") as f:
        meta = f.metadata()
    how = json.loads(meta["cxr.preprocess"])
    assert how["rule"] == "squash"
    model = network(meta)
    model.load_state_dict(safetensors.torch.load_file(path), strict=True)
    model.eval()
    prepare = transforms.Compose([transforms.ToTensor(), transforms.Normalize(how["mean"], how["std"])])
    out = []
    with torch.no_grad():
        for row in rows:
            views = views_of(Image.open(row["path"]).convert("RGB"), how["size"], tta)
            out.append(np.mean(model(torch.stack([prepare(v) for v in views])).exp().numpy(), axis=0))
    return np.array(out), json.loads(meta["cxr.classes"])


def check_probabilities(program, model, folder, tta):
    text = cxr(program, "predict", "--model", model, "--format", "csv", "--tta", tta, folder)
    rows = list(csv.DictReader(text.splitlines()))
    want, classes = torch_probabilities(model, rows, tta)
    got = np.array([[float(r["probability_" + c]) for c in classes] for r in rows])
    gap = np.abs(got - want).max()
    print(f"{len(rows)} images, tta {tta}: largest gap of a probability {gap:.2e}")
    assert len(rows) > 0 and gap <= PROBABILITY_GAP


def column(rows, name):
    return np.array([float(r[name]) for r in rows])


def check_curves(out, y, p):
    """roc.csv and pr.csv go by falling threshold."""
    with open(os.path.join(out, "roc.csv")) as f:
        rows = list(csv.DictReader(f))
    for name, want in zip(("fpr", "tpr", "threshold"), sk.roc_curve(y, p, drop_intermediate=False)):
        np.testing.assert_allclose(column(rows, name), want, rtol=0, atol=FIGURE_GAP)
    with open(os.path.join(out, "pr.csv")) as f:
        rows = list(csv.DictReader(f))
    precision, recall, _ = sk.precision_recall_curve(y, p)
    np.testing.assert_allclose(column(rows, "precision"), precision[::-1], rtol=0, atol=FIGURE_GAP)
    np.testing.assert_allclose(column(rows, "recall"), recall[::-1], rtol=0, atol=FIGURE_GAP)


def check_figures(out):
    with open(os.path.join(out, "metrics.json")) as f:
        m = json.load(f)
    with open(os.path.join(out, "predictions.csv"), newline="") as f:
        rows = list(csv.DictReader(f))
    positive = m["positive_class"]
    y = np.array([r["label"] == positive for r in rows])
    p = np.array([float(r["probability_" + positive]) for r in rows])
    d = np.array([r["prediction"] == positive for r in rows])
    want = {
        "accuracy": sk.accuracy_score(y, d),
        "balanced_accuracy": sk.balanced_accuracy_score(y, d),
        "sensitivity": sk.recall_score(y, d),
        "specificity": sk.recall_score(~y, ~d),
        "f1": sk.f1_score(y, d),
        "auroc": sk.roc_auc_score(y, p),
        "auprc": sk.average_precision_score(y, p),
        "loss": sk.log_loss(y, p),
        "brier": sk.brier_score_loss(y, p),
    }
    if 0 < d.sum() < len(d):  # else it is not defined: null here, 0 there
        want["mcc"] = sk.matthews_corrcoef(y, d)
    for name, value in want.items():
        assert abs(m[name]["value"] - value) <= FIGURE_GAP, (name, m[name], value)
        assert m[name]["ci95"] is None or m[name]["ci95"][0] <= value <= m[name]["ci95"][1], (name, m[name])
    check_curves(out, y, p)
    assert m["n"] == len(rows) and m["confusion"] == sk.confusion_matrix(y, d).tolist()
    print(" ".join(f"{k} {v:.4f}" for k, v in want.items()))


def main():
    program = os.path.join(os.path.dirname(sys.argv[1]), "cxr")
    data, weights = os.environ.get("CXR_PEERS_DATA"), os.environ.get("CXR_PEERS_WEIGHTS", "none")
    with tempfile.TemporaryDirectory() as folder:
        run, out = os.path.join(folder, "run"), os.path.join(folder, "test")
        settings = ["--recipe", "article", "--weights", weights, "--epochs", "1", "--freeze", "backbone"]
        if data is None:
            data = os.path.join(folder, "phantoms")
            cxr(program, "phantom", "--out", data, "--train", "48", "--val", "16", "--test", "24")
            settings += ["--freeze", "layer2", "--size", "64", "--batch-size", "16"]
        cxr(program, "train", data, "--out", run, "--quiet", *settings)
        model = os.path.join(run, "weights", "best.safetensors")
        for tta in ("none", "flip", "scales", "crops"):
            check_probabilities(program, model, os.path.join(data, "test"), tta)
        cxr(program, "evaluate", "--model", model, data, "--out", out)
        check_figures(out)


main()
