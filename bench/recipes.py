#!/usr/bin/env python3
"""What docs/RECIPES.md says, measured again: how the recipe finetune was chosen, and what it gives.

Usage: recipes.py PART... --cxr PROGRAM --data FOLDER --weights FILE --out FOLDER [--allow-missing PATTERN] [--threads N]
                  [--seeds 1 2 3 4 5] [--into RECIPES.md]

Parts:
  search  candidates, one seed each, on validation and on perturbed validation; the test split is not read
  series  candidates, trained without one of the two series of normal images and measured on it; nor is it here
  narrow  what perturbed validation chose, the candidate "lower learning rate": as seeds
  seeds   the recipe, several seeds: test figures, each read once, with their spread and intervals
  tta     the same runs with views averaged, and averaged themselves: figures and cost
  sizes   the recipe at other input sizes, the first seed
  labels  few labelled images: from nothing, from FILE, and from a model of other patients' radiographs
  card    the model that comes with cxr, on test: the figures of models/README.md (--into that file)
  torch   an epoch of the recipe beside PyTorch's, interleaved (needs torch and torchvision)

Runs are kept in OUT and not made again; each reading of the test split stands in their ledgers. --into also writes the tables into
the file's parts of the same names.
"""
import argparse
import csv
import json
import math
import os
import statistics
import subprocess
import sys
import time

import section
from article_seeds import Table, best

HERE = os.path.dirname(os.path.abspath(__file__))
FIGURES = ("accuracy", "auroc", "sensitivity", "specificity")
BASE = ["--head", "none", "--freeze", "none", "--optimizer", "adamw", "--lr", "5e-4", "--weight-decay", "0.05", "--schedule", "onecycle",
        "--class-weights", "on", "--label-smoothing", "0.05", "--ema", "0.99", "--epochs", "10", "--crop-scale", "0.2", "--rotate", "10",
        "--brightness", "0.3", "--contrast", "0.3"]
WIDE = ["--crop-scale", "0.1", "--contrast", "0.4", "--zoom", "0.2", "--gamma", "0.3", "--noise", "0.03"]
SLOW = ["--lr", "2e-4"]
BF16 = ["--precision", "bf16"]
SEARCH = {"base": BF16,
          "more jitter": ["--contrast", "0.4", "--gamma", "0.5", "--noise", "0.04", "--jpeg-quality", "20", *BF16],
          "stem and layer 1 frozen": ["--freeze", "layer1", *BF16],
          "crops from 0.08": ["--crop-scale", "0.08"],
          "mixup": ["--mixup", "0.2"],
          "CutMix": ["--cutmix", "1"],
          "lower learning rate": SLOW,
          "lower rate, mixup": [*SLOW, "--mixup", "0.2"],
          "lower rate, crops from 0.08": [*SLOW, "--crop-scale", "0.08"],
          "lower rate, wide jitter": [*SLOW, *WIDE],
          "lower rate, wide jitter, mixup, longer": [*SLOW, *WIDE, "--mixup", "0.2", "--epochs", "12"]}
MIXUP = ["--mixup", "0.2"]
SERIES = {"flips and rotations alone": ([*SLOW, "--crop-scale", "0", "--brightness", "0", "--contrast", "0"], (1,)),
          "lower learning rate": (SLOW, (1,)),
          "base": ([], (1,)),
          "lower rate, wide jitter": ([*SLOW, *WIDE], (1,)),
          "lower rate, wide jitter, mixup": ([*SLOW, *WIDE, *MIXUP], (1, 2)),
          "the same at 160 pixels": ([*SLOW, *WIDE, *MIXUP, "--size", "160"], (1,)),
          "the same, more mixup": ([*SLOW, *WIDE, "--mixup", "1"], (1,)),
          "lower rate, mixup": ([*SLOW, *MIXUP], (1, 2)),
          "lower rate, more mixup": ([*SLOW, "--mixup", "1"], (1,)),
          "mixup": (MIXUP, (1,)),
          "mixup, 96 pixels": ([*MIXUP, "--size", "96"], (1,))}
LABELS = (50, 100, 500)
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}  # 97.5 % points by count


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("parts", nargs="+", choices=sorted(PARTS))
    for name in ("--cxr", "--data", "--weights", "--out"):
        p.add_argument(name, required=True)
    p.add_argument("--allow-missing")
    p.add_argument("--threads", default="0")
    p.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    p.add_argument("--into")
    return p.parse_args()


# ---- Runs ----

def start(a, weights):
    allowed = ["--allow-missing", a.allow_missing] if a.allow_missing and weights == a.weights else []
    return ["--weights", weights, *allowed]


def train(a, name, *options, weights=None):
    """The folder of a run, which is trained unless it is there."""
    run = os.path.join(a.out, name.replace(" ", "-").replace(",", ""))
    if not os.path.exists(best(run)):
        command = [a.cxr, "train", a.data, *start(a, weights or a.weights), "--threads", a.threads, "--out", run, "--quiet", *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return run


def evaluate(a, models, out, *options):
    """Figures of an evaluation, which is made once; the seconds that it took are kept beside them. One model or several, which are
    averaged; none: cxr's own."""
    began = time.monotonic()
    if not os.path.exists(os.path.join(out, "metrics.json")):
        models = [models] if isinstance(models, str) else models
        command = [a.cxr, "evaluate", *(word for model in models for word in ("--model", model)), a.data, "--threads", a.threads, "--out", out, "--quiet", *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with open(os.path.join(out, "seconds"), "w") as f:
            print(time.monotonic() - began, file=f)
    with open(os.path.join(out, "metrics.json")) as f:
        m = json.load(f)
    return {k: m[k]["value"] for k in FIGURES}


def perturbed(a, run, which="best"):
    """Figures of validation by perturbation, "none" being validation as it is; "mean", "worst" and "pooled" are over all."""
    out, model = os.path.join(run, f"perturbed-{which}"), os.path.join(run, "weights", f"{which}.safetensors")
    if not os.path.exists(os.path.join(out, "robustness.csv")):
        command = [a.cxr, "evaluate", "--model", model, a.data, "--precision", "auto", "--split", "val", "--split-file", os.path.join(run, "split.csv"),
                   "--robustness", "--threads", a.threads, "--out", out, "--quiet"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with open(os.path.join(out, "robustness.csv"), newline="") as f:
        rows = {r["perturbation"]: {k: float(v) for k, v in r.items() if k != "perturbation" and v} for r in csv.DictReader(f)}
    return rows


def minutes(run):
    with open(os.path.join(run, "results.csv"), newline="") as f:
        return sum(float(r["seconds"]) for r in csv.DictReader(f)) / 60


# ---- Figures ----

def wilson(share, n, z=1.959964):
    """95 % interval of a proportion (Wilson 1927)."""
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return middle - half, middle + half


def spread(values):
    """Mean, sample standard deviation, and the 95 % interval of the mean by Student's t."""
    mean, sd = statistics.mean(values), statistics.stdev(values)
    half = STUDENT[len(values)] * sd / math.sqrt(len(values))
    return mean, sd, (mean - half, mean + half)


def images_of(out):
    with open(os.path.join(out, "metrics.json")) as f:
        return json.load(f)["n"]


def interval(low, high):
    return f"[{low:.4f}, {high:.4f}]"


# ---- Parts ----

def search(a):
    table = Table("candidate", "differs by", "val accuracy", "val AUROC", "mean AUROC", "worst AUROC", "pooled AUROC",
                  "mean balanced accuracy", "mean loss")
    for name, options in SEARCH.items():
        run = train(a, f"search-{name}", "--recipe", "article", *BASE, *options)
        rows = perturbed(a, run, "last")
        table.row(name, f"`{' '.join(options)}`", *(f"{rows['none'][k]:.4f}" for k in ("accuracy", "auroc")),
                  *(f"{rows[k]['auroc']:.4f}" for k in ("mean", "worst", "pooled")),
                  *(f"{rows['mean'][k]:.4f}" for k in ("balanced_accuracy", "loss")))
    return table


def split_rows(a, run):
    """A run's split with whole paths, and a writer of the part of it that another run is to have."""
    with open(os.path.join(run, "split.csv"), newline="") as f:
        return [{**r, "path": os.path.join(os.path.abspath(a.data), r["path"])} for r in csv.DictReader(f)]


def write_split(path, rows):
    with open(path, "w", newline="") as f:
        out = csv.DictWriter(f, ["path", "label", "split", "group"], extrasaction="ignore", lineterminator="\n")
        out.writeheader()
        out.writerows(rows)
    return path


def without_series(a):
    """A CSV whose validation has the normal images of the second series, NORMAL2-, and whose training has those of the first, IM-.
    Pneumonia stays where it is, normal images of validation have no other place, and test images no place at all."""
    rows = []
    for r in split_rows(a, train(a, "search-base", "--recipe", "article", *BASE, *SEARCH["base"])):
        held_out = r["label"] == "NORMAL" and os.path.basename(r["path"]).startswith("NORMAL2-")
        if r["split"] != "test" and (held_out or r["label"] != "NORMAL" or r["split"] == "train"):
            rows.append({**r, "split": "val" if held_out else r["split"]})
    return write_split(os.path.join(a.out, "without-series.csv"), rows)


def series(a):
    table = Table("candidate", "differs by", "AUROC", "accuracy", "sensitivity", "specificity")
    here = argparse.Namespace(**{**vars(a), "data": without_series(a)})
    for name, (options, seeds) in SERIES.items():
        runs = [train(here, f"series-{name}-{seed}", "--recipe", "article", *BASE, *options, "--seed", str(seed)) for seed in seeds]
        rows = [evaluate(here, os.path.join(run, "weights", "last.safetensors"), os.path.join(run, "val"), "--split", "val") for run in runs]
        table.row(name, f"`{' '.join(options)}`" if options else "", *(", ".join(f"{r[k]:.4f}" for r in rows) for k in ("auroc", "accuracy", "sensitivity", "specificity")))
    return table


def seed_run(a, seed):
    return train(a, f"finetune-{seed}", "--recipe", "finetune", "--seed", str(seed))


def narrow_run(a, seed):
    return train(a, f"narrow-{seed}", "--recipe", "article", *BASE, *SLOW, "--fit", "perturbed", "--seed", str(seed))


def over_seeds(a, run_of):
    table, rows = Table("seed", "accuracy", "95 %", *FIGURES[1:], "threshold"), []
    for seed in a.seeds:
        run = run_of(a, seed)
        out = os.path.join(run, "test")
        rows.append(evaluate(a, best(run), out))
        with open(os.path.join(out, "metrics.json")) as f:
            threshold = json.load(f)["threshold"]
        table.row(str(seed), f"{rows[-1]['accuracy']:.4f}", interval(*wilson(rows[-1]["accuracy"], images_of(out))),
                  *(f"{rows[-1][k]:.4f}" for k in FIGURES[1:]), f"{threshold:.3f}")
    if len(rows) > 1:
        found = {k: spread([r[k] for r in rows]) for k in FIGURES}
        table.row("mean ± sd", f"{found['accuracy'][0]:.4f} ± {found['accuracy'][1]:.4f}", "",
                  *(f"{found[k][0]:.4f} ± {found[k][1]:.4f}" for k in FIGURES[1:]), "")
        table.row("95 % of the mean", interval(*found["accuracy"][2]), "", *(interval(*found[k][2]) for k in FIGURES[1:]), "")
    return table


def narrow(a):
    return over_seeds(a, narrow_run)


def seeds(a):
    return over_seeds(a, seed_run)


def seconds(out):
    with open(os.path.join(out, "seconds")) as f:
        return float(f.read())


def tta(a):
    table, models = Table("views", *FIGURES, "time"), [best(seed_run(a, seed)) for seed in a.seeds]
    took = {}
    for views in ("none", "flip", "scales", "crops"):
        outs = [os.path.join(seed_run(a, seed), "test" if views == "none" else f"test-{views}") for seed in a.seeds]
        rows = [evaluate(a, model, out, "--tta", views) for model, out in zip(models, outs)]
        took[views] = statistics.median(seconds(out) for out in outs)
        table.row(views, *(f"{statistics.mean(r[k] for r in rows):.4f}" for k in FIGURES), f"{took[views] / took['none']:.1f}x")
    together = os.path.join(a.out, "together")
    figures = evaluate(a, models, together)
    table.row(f"none, {len(models)} models averaged", *(f"{figures[k]:.4f}" for k in FIGURES), f"{seconds(together) / took['none']:.1f}x")
    return table


def sizes(a):
    table = Table("size", "val AUROC", "mean AUROC, perturbed", "test accuracy", "test AUROC", "minutes of training")
    seed = a.seeds[0]
    for size in (128, 160, 224):
        run = seed_run(a, seed) if size == 128 else train(a, f"size-{size}", "--recipe", "finetune", "--size", str(size), "--seed", str(seed))
        rows = perturbed(a, run)
        test = evaluate(a, best(run), os.path.join(run, "test"))
        table.row(f"{size}", f"{rows['none']['auroc']:.4f}", f"{rows['mean']['auroc']:.4f}", f"{test['accuracy']:.4f}", f"{test['auroc']:.4f}",
                  f"{minutes(run):.1f}")
    return table


def halves(a):
    """Two CSVs of the data: a half of the training patients to learn a start from, and the other half with the test images."""
    rows = split_rows(a, seed_run(a, a.seeds[0]))
    first = set(sorted({r["group"] for r in rows if r["split"] == "train"})[::2])
    learn = [r for r in rows if r["split"] == "val" or (r["split"] == "train" and r["group"] in first)]
    few = [r for r in rows if r["split"] != "train" or r["group"] not in first]
    few = [{**r, "group": f"test/{r['group']}"} if r["split"] == "test" else r for r in few]  # file names number test patients anew
    return write_split(os.path.join(a.out, "start.csv"), learn), write_split(os.path.join(a.out, "labels.csv"), few)


def labels(a):
    learn, few = halves(a)
    elsewhere = argparse.Namespace(**{**vars(a), "data": learn})
    here = argparse.Namespace(**{**vars(a), "data": few})
    domain = best(train(elsewhere, "labels-start", "--recipe", "finetune"))
    starts = {"nothing": "none", "ImageNet": a.weights, "chest radiographs of other patients": domain}
    table = Table("labelled images", *(f"from {name}" for name in starts))
    for count in LABELS:
        cells = []
        for name, weights in starts.items():
            rows = []
            for seed in a.seeds[:2]:
                run = train(here, f"labels-{count}-{name}-{seed}", "--recipe", "finetune", "--train-images", str(count), "--epochs", "20",
                            "--batch-size", "16", "--fit", "val", "--seed", str(seed), weights=weights)
                rows.append(evaluate(here, best(run), os.path.join(run, "test")))
            cells.append(" / ".join("{:.3f} ± {:.3f}".format(*spread([r[k] for r in rows])[:2]) for k in ("accuracy", "auroc")))
        table.row(str(count), *cells)
    return table


def torch(a):
    """Seconds of an epoch in turn, three rounds; cxr's second epoch is the one that counts, as PyTorch's."""
    images, threads, rounds = 1280, a.threads if a.threads != "0" else str(os.cpu_count()), []
    peers = {"PyTorch f32": [], "PyTorch bf16": ["--bf16"]}
    for k in range(3):
        run = train(a, f"time-{k}", "--recipe", "finetune", "--epochs", "2", "--train-images", str(images))
        with open(os.path.join(run, "results.csv"), newline="") as f:
            last = list(csv.DictReader(f))[-1]
        found = {"cxr f32": (float(last["seconds"]), float(last["images_per_second"]))}
        for name, options in peers.items():
            command = [sys.executable, os.path.join(HERE, "torch_finetune.py"), "--data", a.data, "--split",
                       os.path.join(run, "split.csv"), "--weights", a.weights, "--threads", threads, *options]
            m = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
            found[name] = (m["seconds"], m["images_per_second"])
        rounds.append(found)
    table = Table("", f"images/s, training on {images} images", "seconds of the epoch over cxr's")
    for name in rounds[0]:
        ratios = [r[name][0] / r["cxr f32"][0] for r in rounds]
        table.row(name, f"{statistics.median(r[name][1] for r in rounds):.0f}",
                  f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})")
    return table


def card(a):
    out = os.path.join(a.out, "card")
    evaluate(a, [], out)
    with open(os.path.join(out, "metrics.json")) as f:
        m = json.load(f)
    table = Table("figure", f"on the {m['n']} test images", "95 %")
    for name in FIGURES:
        table.row(name.replace("auroc", "AUROC"), f"{m[name]['value']:.4f}", interval(*m[name]["ci95"]))
    return table


PARTS = {f.__name__: f for f in (search, series, narrow, seeds, tta, sizes, labels, card, torch)}


def main():
    a = arguments()
    os.makedirs(a.out, exist_ok=True)
    for part in a.parts:
        table = PARTS[part](a)
        if a.into:
            section.replace(a.into, part, table.lines)


if __name__ == "__main__":
    main()
