#!/usr/bin/env python3
"""The published experiment, several seeds: cxr's test figures, and with --torch PyTorch's on the same split, as a Markdown table.

Usage: article_seeds.py --cxr PROGRAM --data FOLDER --weights FILE.pth --out FOLDER [--seeds 1 2 3] [--torch]

Runs are kept in OUT/article-SEED, so that each reading of the test split stands in their ledgers. --torch needs torch,
torchvision and scikit-learn.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
FIGURES = ("accuracy", "auroc", "sensitivity", "specificity")


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--cxr", "--data", "--weights", "--out"):
        p.add_argument(name, required=True)
    p.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    p.add_argument("--torch", action="store_true")
    return p.parse_args()


def run_cxr(a, seed):
    run = os.path.join(a.out, f"article-{seed}")
    if not os.path.exists(os.path.join(run, "test", "metrics.json")):
        train = [a.cxr, "train", a.data, "--recipe", "article", "--weights", a.weights, "--seed", str(seed), "--out", run, "--quiet"]
        subprocess.run(train, check=True, stdout=subprocess.DEVNULL)
        model = os.path.join(run, "weights", "best.safetensors")
        test = [a.cxr, "evaluate", "--model", model, a.data, "--out", os.path.join(run, "test")]
        subprocess.run(test, check=True, stdout=subprocess.DEVNULL)
    with open(os.path.join(run, "test", "metrics.json")) as f:
        m = json.load(f)
    return {k: m[k]["value"] for k in FIGURES}


def run_torch(a, seed):
    split = os.path.join(a.out, f"article-{seed}", "split.csv")
    command = [sys.executable, os.path.join(HERE, "torch_article.py"), "--data", a.data, "--split", split, "--weights", a.weights]
    out = subprocess.run([*command, "--seed", str(seed), "--workers", "2"], check=True, capture_output=True, text=True)
    return json.loads(out.stdout.splitlines()[-1])


def row(name, cells):
    print("| " + " | ".join([name, *cells]) + " |", flush=True)


def summary(rows, figures):
    if len(rows) < 2:
        return [f"{rows[0][k]:.4f}" for k in figures]
    return [f"{statistics.mean(r[k] for r in rows):.4f} ± {statistics.stdev(r[k] for r in rows):.4f}" for k in figures]


def main():
    a = arguments()
    row("seed", FIGURES)
    row("---", ["---"] * len(FIGURES))
    ours, theirs = [], []
    for seed in a.seeds:
        ours.append(run_cxr(a, seed))
        row(f"cxr, {seed}", [f"{ours[-1][k]:.4f}" for k in FIGURES])
    row("cxr, mean ± sd", summary(ours, FIGURES))
    for seed in a.seeds if a.torch else []:
        theirs.append(run_torch(a, seed))
        row(f"PyTorch, {seed}", [f"{theirs[-1][k]:.4f}" for k in FIGURES[:2]] + ["", ""])
    if theirs:
        row("PyTorch, mean ± sd", summary(theirs, FIGURES[:2]) + ["", ""])


main()
