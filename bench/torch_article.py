#!/usr/bin/env python3
"""The article recipe in PyTorch eager, on the split that cxr wrote: what the benches hold cxr against. Prints one JSON line.

Usage: torch_article.py --data FOLDER --split SPLIT.csv --weights FILE.pth [--epochs 5] [--seed 1] [--threads 2] [--workers 0]

Resize 128 x 128, flips, rotations up to 10 degrees; ResNet-18 frozen with running statistics; head 512-256-128-2; batches of 64;
Adam 1e-4; the epoch with the lowest validation loss is tested.
"""
import argparse
import copy
import csv
import json
import os
import resource
import time

import torch
import torchvision.transforms as T
from PIL import Image
from torch import nn
from torchvision.models import resnet18

NORMALIZE = T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
AUGMENT = T.Compose([T.Resize((128, 128)), T.RandomHorizontalFlip(), T.RandomRotation(10), T.ToTensor(), NORMALIZE])
PLAIN = T.Compose([T.Resize((128, 128)), T.ToTensor(), NORMALIZE])


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--data", "--split", "--weights"):
        p.add_argument(name, required=True)
    p.add_argument("--epochs", type=int, default=5)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--workers", type=int, default=0)
    p.add_argument("--no-test", action="store_true", help="time only")
    return p.parse_args()


class Images(torch.utils.data.Dataset):
    def __init__(self, a, split, transform):
        with open(a.split, newline="") as f:
            rows = list(csv.DictReader(f))
        self.classes = sorted({r["label"] for r in rows})
        self.rows = [(os.path.join(a.data, r["path"]), r["label"]) for r in rows if r["split"] == split]
        self.transform = transform

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        path, label = self.rows[i]
        return self.transform(Image.open(path).convert("RGB")), self.classes.index(label)


def loader(a, split, transform):
    train = split == "train"
    return torch.utils.data.DataLoader(Images(a, split, transform), 64, shuffle=train, num_workers=a.workers)


def head():
    layers = []
    for i, o in ((512, 256), (256, 128)):
        layers += [nn.Linear(i, o), nn.BatchNorm1d(o), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.Linear(128, 2), nn.LogSoftmax(1))


def network(weights):
    model = resnet18()
    model.load_state_dict(torch.load(weights, weights_only=True))
    for p in model.parameters():
        p.requires_grad = False
    model.fc = head()
    return model


def train_epoch(model, optimizer, batches):
    model.eval()
    model.fc.train()
    for x, y in batches:
        optimizer.zero_grad()
        nn.functional.nll_loss(model(x), y).backward()
        optimizer.step()


@torch.no_grad()
def outputs(model, batches):
    model.eval()
    logp, y = zip(*((model(x), y) for x, y in batches))
    return torch.cat(logp), torch.cat(y)


def main():
    a = arguments()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    train, val = loader(a, "train", AUGMENT), loader(a, "val", PLAIN)
    model = network(a.weights)
    optimizer = torch.optim.Adam(model.fc.parameters(), lr=1e-4)
    best, best_loss, start = None, float("inf"), time.monotonic()
    for _ in range(a.epochs):
        train_epoch(model, optimizer, train)
        loss = nn.functional.nll_loss(*outputs(model, val)).item()
        if loss < best_loss:
            best, best_loss = copy.deepcopy(model.state_dict()), loss
    result = {"seconds": (time.monotonic() - start) / a.epochs, "torch": torch.__version__, "val_loss": best_loss}
    if not a.no_test:
        from sklearn.metrics import roc_auc_score

        model.load_state_dict(best)
        logp, y = outputs(model, loader(a, "test", PLAIN))
        result["accuracy"] = (logp.argmax(1) == y).float().mean().item()
        result["auroc"] = roc_auc_score(y, logp[:, 1])
    result["mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(result))


if __name__ == "__main__":
    main()
