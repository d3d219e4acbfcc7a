#!/usr/bin/env python3
"""An epoch of the article recipe, cxr beside PyTorch eager, interleaved in one run.

Usage: article_epoch.py --cxr PROGRAM --data FOLDER --weights FILE.pth [--rounds 3] [--threads 2] [--json FILE]

Both sides decode the same JPEGs, resize, flip and rotate them, run the frozen ResNet-18, train the head and validate, on the split
that cxr made. PyTorch gets the better of 0 and `threads` loader workers, found in the first round. Printed: seconds per epoch of
each round, medians, the ratio with its range, and the peak resident memory of each side. Needs torch and torchvision.
"""
import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
# Runs its arguments and prints the peak resident memory of that child, in KiB.
MEASURE = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); " \
          "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--cxr", "--data", "--weights"):
        p.add_argument(name, required=True)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--json")
    return p.parse_args()


def run_torch(a, split, workers):
    command = [sys.executable, os.path.join(HERE, "torch_article.py"), "--data", a.data, "--split", split, "--weights", a.weights]
    command += ["--epochs", "1", "--threads", str(a.threads), "--workers", str(workers), "--no-test"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def run_cxr(a, folder):
    command = [a.cxr, "train", a.data, "--recipe", "article", "--weights", a.weights, "--epochs", "1"]
    command += ["--threads", str(a.threads), "--out", folder, "--quiet"]
    out = subprocess.run([sys.executable, "-c", MEASURE, *command], check=True, capture_output=True, text=True)
    with open(os.path.join(folder, "results.csv"), newline="") as f:
        return {"seconds": float(next(csv.DictReader(f))["seconds"]), "mib": float(out.stdout) / 1024}


def main():
    a = arguments()
    ours, theirs, workers = [], [], {}
    with tempfile.TemporaryDirectory() as folder:
        for i in range(a.rounds):
            ours.append(run_cxr(a, os.path.join(folder, str(i))))
            split = os.path.join(folder, str(i), "split.csv")
            if not workers:
                workers = {w: run_torch(a, split, w) for w in (0, a.threads)}
                best = min(workers, key=lambda w: workers[w]["seconds"])
                theirs.append(workers[best])
            else:
                theirs.append(run_torch(a, split, best))
            print(f"round {i + 1}: cxr {ours[-1]['seconds']:.1f} s, PyTorch {theirs[-1]['seconds']:.1f} s ({best} workers)", flush=True)
    ratios = [t["seconds"] / o["seconds"] for o, t in zip(ours, theirs)]
    result = {
        "machine": platform.processor() or platform.machine(),
        "threads": a.threads,
        "torch": theirs[0]["torch"],
        "seconds": {name: statistics.median(r["seconds"] for r in rows) for name, rows in (("cxr", ours), ("pytorch", theirs))},
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "peak_mib": {name: max(r["mib"] for r in rows) for name, rows in (("cxr", ours), ("pytorch", theirs))},
    }
    print(json.dumps(result, indent=2))
    if a.json:
        with open(a.json, "w") as f:
            json.dump(result, f, indent=2)


main()
