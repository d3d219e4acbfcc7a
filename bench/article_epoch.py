#!/usr/bin/env python3
"""An epoch of the article recipe, cxr beside PyTorch eager, interleaved in one run.

Usage: article_epoch.py --cxr PROGRAM --data FOLDER --weights FILE [--rounds 3] [--threads 2] [--json FILE]

Both sides decode the same JPEGs, resize them to 128 x 128, flip and rotate, run the frozen ResNet-18 with running statistics and
train the head 512-256-128-2 with Adam 1e-4 in batches of 64, then validate on the images that cxr carved from train. PyTorch gets
the better of 0 and `threads` loader workers, found in the first round. Printed: seconds per epoch of each round, medians and their
ratio, peak resident memory of each side. Needs torch, torchvision; FILE is a torch .pth state dict of ResNet-18.
"""
import argparse
import csv
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cxr", required=True)
    p.add_argument("--data", required=True)
    p.add_argument("--weights", required=True)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--json")
    p.add_argument("--torch-epoch", metavar="SPLIT", help=argparse.SUPPRESS)
    p.add_argument("--workers", type=int, default=0, help=argparse.SUPPRESS)
    return p.parse_args()


def torch_epoch(a):
    """One epoch in this process; prints a JSON line."""
    import torch
    import torchvision.transforms as T
    from PIL import Image
    from torch import nn
    from torchvision.models import resnet18

    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    normal = T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    augment = T.Compose([T.Resize((128, 128)), T.RandomHorizontalFlip(), T.RandomRotation(10), T.ToTensor(), normal])
    plain = T.Compose([T.Resize((128, 128)), T.ToTensor(), normal])

    class Images(torch.utils.data.Dataset):
        def __init__(self, split, transform):
            with open(a.torch_epoch, newline="") as f:
                self.rows = [(r["path"], r["label"]) for r in csv.DictReader(f) if r["split"] == split]
            self.classes, self.transform = sorted({label for _, label in self.rows}), transform

        def __len__(self):
            return len(self.rows)

        def __getitem__(self, i):
            path, label = self.rows[i]
            image = Image.open(os.path.join(a.data, path)).convert("RGB")
            return self.transform(image), self.classes.index(label)

    def loader(split, transform, shuffle):
        return torch.utils.data.DataLoader(Images(split, transform), 64, shuffle=shuffle, num_workers=a.workers)

    train, val = loader("train", augment, True), loader("val", plain, False)
    model = resnet18()
    model.load_state_dict(torch.load(a.weights, weights_only=True))
    for p in model.parameters():
        p.requires_grad = False
    layers = []
    for i, o in ((512, 256), (256, 128)):
        layers += [nn.Linear(i, o), nn.BatchNorm1d(o), nn.ReLU(), nn.Dropout(0.5)]
    model.fc = nn.Sequential(*layers, nn.Linear(128, 2), nn.LogSoftmax(1))
    optimizer = torch.optim.Adam(model.fc.parameters(), lr=1e-4)
    start = time.monotonic()
    model.eval()
    model.fc.train()
    for x, y in train:
        optimizer.zero_grad()
        nn.functional.nll_loss(model(x), y).backward()
        optimizer.step()
    trained = time.monotonic() - start
    model.eval()
    with torch.no_grad():
        for x, _ in val:
            model(x)
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": time.monotonic() - start, "train_seconds": trained, "mib": kib / 1024, "torch": torch.__version__}))


def run_torch(a, split, workers):
    command = [sys.executable, __file__, "--cxr", a.cxr, "--data", a.data, "--weights", a.weights, "--threads", str(a.threads)]
    out = subprocess.run(command + ["--torch-epoch", split, "--workers", str(workers)], check=True, capture_output=True, text=True)
    return json.loads(out.stdout.splitlines()[-1])


def run_cxr(a, folder):
    command = ["/usr/bin/env", "python3", "-c", WRAPPER, a.cxr, "train", a.data, "--recipe", "article", "--weights", a.weights]
    command += ["--epochs", "1", "--threads", str(a.threads), "--out", folder, "--quiet"]
    out = subprocess.run(command, check=True, capture_output=True, text=True)
    with open(os.path.join(folder, "results.csv"), newline="") as f:
        row = next(csv.DictReader(f))
    return {"seconds": float(row["seconds"]), "images_per_second": float(row["images_per_second"]), "mib": float(out.stdout) / 1024}


WRAPPER = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def main():
    a = arguments()
    if a.torch_epoch:
        return torch_epoch(a)
    ours, theirs = [], []
    workers = {0: [], a.threads: []}
    with tempfile.TemporaryDirectory() as folder:
        for i in range(a.rounds):
            ours.append(run_cxr(a, os.path.join(folder, str(i))))
            split = os.path.join(folder, str(i), "split.csv")
            for w in workers if i == 0 else [best]:
                workers[w].append(run_torch(a, split, w))
            best = min(workers, key=lambda w: workers[w][0]["seconds"])
            theirs.append(workers[best][-1])
            print(f"round {i + 1}: cxr {ours[-1]['seconds']:.1f} s, PyTorch {theirs[-1]['seconds']:.1f} s ({best} workers)", flush=True)
    us, them = (statistics.median(r["seconds"] for r in rows) for rows in (ours, theirs))
    memory = [max(r["mib"] for r in rows) for rows in (ours, theirs)]
    ratios = [t["seconds"] / o["seconds"] for o, t in zip(ours, theirs)]
    result = {
        "machine": platform.processor() or platform.machine(),
        "threads": a.threads,
        "torch": theirs[0]["torch"],
        "seconds": {"cxr": us, "pytorch": them},
        "ratio": them / us,
        "ratio_range": [min(ratios), max(ratios)],
        "peak_mib": {"cxr": memory[0], "pytorch": memory[1]},
    }
    print(json.dumps(result, indent=2))
    if a.json:
        with open(a.json, "w") as f:
            json.dump(result, f, indent=2)


main()
