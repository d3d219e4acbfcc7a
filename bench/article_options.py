#!/usr/bin/env python3
"""The published experiment under each option of speed, several seeds: whether its figures stay, as a Markdown table.

Usage: article_options.py --cxr PROGRAM --data FOLDER --weights FILE.pth --out FOLDER [--seeds 1 2 3] [--into FILE.md]

Trained and read in f32 with nothing said; with each option; and the f32 runs read again in bf16 and, quantised, in int8. Figures
are of validation and test, mean ± standard deviation over the seeds. "unchanged": each mean is within one standard deviation of
f32's. "same bits": the weights equal those of the f32 runs, which --cache promises. Exit status 1 when that promise is broken, or
`cxr quantize` shuts its gate. Runs are kept in OUT/OPTION-SEED, where article_seeds.py finds the f32 runs as OUT/article-SEED; each
reading of the test split stands in their ledgers. --into also writes the table into the file's part "options".
"""
import os
import statistics
import subprocess
import sys

import section
from article_seeds import Table, arguments, best, evaluate, summary, train

OPTIONS = {"f32, images in memory": ("article",), "--precision bf16": ("bf16", "--precision", "bf16"),
           "--precision auto": ("auto", "--precision", "auto"), "--cache off": ("cache-off", "--cache", "off"),
           "--cache disk": ("cache-disk", "--cache", "disk"), "--cache-features 4": ("features-4", "--cache-features", "4"),
           "--deterministic": ("deterministic", "--deterministic")}
SAME_BITS = ("cache-off", "cache-disk")
UNAVAILABLE = 69  # what a processor without the instructions answers
SPLITS = ("val", "test")
FIGURES = [f"{split} {figure}" for split in SPLITS for figure in ("accuracy", "auroc")]


def figures(a, model, run, name="", *options):
    """Of both splits; the readings are kept in folders of the run."""
    found = {}
    for split in SPLITS:
        out = os.path.join(run, "-".join(filter(None, (split, name))))
        m = evaluate(a, model, out, "--split", split, "--split-file", os.path.join(run, "split.csv"), *options)
        found.update({f"{split} {k}": m[k] for k in ("accuracy", "auroc")})
    return found


def weights(run):
    """The tensors of a model file, without the header that tells of its making."""
    with open(best(run), "rb") as f:
        data = f.read()
    return data[8 + int.from_bytes(data[:8], "little"):]


def unchanged(rows, base):
    if len(rows) < 2:
        return ""
    near = (abs(statistics.mean(r[k] for r in rows) - statistics.mean(b[k] for b in base)) <= statistics.stdev(b[k] for b in base)
            for k in FIGURES)
    return "yes" if all(near) else "no"


def quantized(a, run):
    model = os.path.join(run, "weights", "int8.safetensors")
    if not os.path.exists(model):
        command = [a.cxr, "quantize", "--model", best(run), "--out", model, a.data, "--split-file", os.path.join(run, "split.csv")]
        subprocess.run([*command, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    return model


def train_with(a, name, settings):
    """The rows of an option, one for each seed, and whether every run's weights equal the f32 run's."""
    runs = {seed: os.path.join(a.out, f"{name}-{seed}") for seed in a.seeds}
    for seed, run in runs.items():
        train(a, run, seed, *settings)
    same = all(weights(run) == weights(os.path.join(a.out, f"article-{seed}")) for seed, run in runs.items())
    return [figures(a, best(run), run) for run in runs.values()], same


def read_in(a, precision):
    """The f32 runs' figures in another precision."""
    runs = [os.path.join(a.out, f"article-{seed}") for seed in a.seeds]
    return [figures(a, quantized(a, run) if precision == "int8" else best(run), run, precision, "--precision", precision)
            for run in runs]


def main():
    a = arguments(__doc__).parse_args()
    os.makedirs(a.out, exist_ok=True)
    os.environ["XDG_CACHE_HOME"] = os.path.join(os.path.abspath(a.out), "cache")
    table, base, kept = Table("option", *FIGURES, "unchanged", "same bits"), None, True
    for option, (name, *settings) in OPTIONS.items():
        rows, same = train_with(a, name, settings)
        base = base or rows
        kept = kept and (same or name not in SAME_BITS)
        table.row(option, *summary(rows, FIGURES), unchanged(rows, base), "yes" if same else "no")
    for precision in ("bf16", "int8"):
        try:
            rows = read_in(a, precision)
            table.row(f"f32 runs, read in {precision}", *summary(rows, FIGURES), unchanged(rows, base), "")
        except subprocess.CalledProcessError as why:
            kept = kept and why.returncode == UNAVAILABLE
            table.row(f"f32 runs, read in {precision}", *["–"] * len(FIGURES), f"refused with status {why.returncode}", "")
    if a.into:
        section.replace(a.into, "options", table.lines)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
