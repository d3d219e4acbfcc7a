#!/usr/bin/env python3
"""The published experiment, several seeds: cxr's test figures, and with --torch PyTorch's on the same split, as a Markdown table.

Usage: article_seeds.py --cxr PROGRAM --data FOLDER --weights FILE.pth --out FOLDER [--seeds 1 2 3] [--torch] [--into FILE.md]

Runs are kept in OUT/article-SEED, so that each reading of the test split stands in their ledgers. --torch needs torch,
torchvision and scikit-learn. --into also writes the table into the file's part "seeds".
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

import section

HERE = os.path.dirname(os.path.abspath(__file__))
FIGURES = ("accuracy", "auroc", "sensitivity", "specificity")


def arguments(description):
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--cxr", "--data", "--weights", "--out"):
        p.add_argument(name, required=True)
    p.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    p.add_argument("--into")
    return p


def best(run):
    return os.path.join(run, "weights", "best.safetensors")


def train(a, run, seed, *options):
    """The article recipe into the folder `run`, unless it is there from an earlier try."""
    if not os.path.exists(best(run)):
        command = [a.cxr, "train", a.data, "--recipe", "article", "--weights", a.weights, "--seed", str(seed), "--out", run, "--quiet"]
        subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)


def evaluate(a, model, out, *options):
    """The figures of a model, read once: the reading stands in the run's ledger."""
    metrics = os.path.join(out, "metrics.json")
    if not os.path.exists(metrics):
        command = [a.cxr, "evaluate", "--model", model, a.data, "--out", out, *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with open(metrics) as f:
        m = json.load(f)
    return {k: m[k]["value"] for k in FIGURES}


def run_cxr(a, seed):
    run = os.path.join(a.out, f"article-{seed}")
    train(a, run, seed)
    return evaluate(a, best(run), os.path.join(run, "test"))


def run_torch(a, seed):
    split = os.path.join(a.out, f"article-{seed}", "split.csv")
    command = [sys.executable, os.path.join(HERE, "torch_article.py"), "--data", a.data, "--split", split, "--weights", a.weights]
    out = subprocess.run([*command, "--seed", str(seed), "--workers", "2"], check=True, capture_output=True, text=True)
    return json.loads(out.stdout.splitlines()[-1])


class Table:
    """Markdown, printed line by line as it grows."""

    def __init__(self, *head):
        self.lines = []
        self.row(*head)
        self.row(*["---"] * len(head))

    def row(self, *cells):
        self.lines.append("| " + " | ".join(cells) + " |")
        print(self.lines[-1], flush=True)


def summary(rows, figures):
    if len(rows) < 2:
        return [f"{rows[0][k]:.4f}" for k in figures]
    return [f"{statistics.mean(r[k] for r in rows):.4f} ± {statistics.stdev(r[k] for r in rows):.4f}" for k in figures]


def main():
    p = arguments(__doc__)
    p.add_argument("--torch", action="store_true")
    a = p.parse_args()
    table = Table("seed", *FIGURES)
    ours, theirs = [], []
    for seed in a.seeds:
        ours.append(run_cxr(a, seed))
        table.row(f"cxr, {seed}", *(f"{ours[-1][k]:.4f}" for k in FIGURES))
    table.row("cxr, mean ± sd", *summary(ours, FIGURES))
    for seed in a.seeds if a.torch else []:
        theirs.append(run_torch(a, seed))
        table.row(f"PyTorch, {seed}", *(f"{theirs[-1][k]:.4f}" for k in FIGURES[:2]), "", "")
    if theirs:
        table.row("PyTorch, mean ± sd", *summary(theirs, FIGURES[:2]), "", "")
    if a.into:
        section.replace(a.into, "seeds", table.lines)


if __name__ == "__main__":
    main()
