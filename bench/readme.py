#!/usr/bin/env python3
"""README's table of figures, from what bench/peers.sh, bench/article_seeds.py and bench/recipes.py wrote.

Usage: readme.py [PERFORMANCE.md RESULTS.md RECIPES.md README.md]
"""
import os
import sys

import section

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Of docs/PERFORMANCE.md: the work and whom it is against, as its table names them, and as README does.
RATIOS = {("inference f32, batch 64", "best of ONNX Runtime, OpenVINO"): "inference f32, batches of 64",
          ("inference bf16, batch 64", "OpenVINO bf16"): "inference bf16, batches of 64",
          ("inference int8, batch 64", "OpenVINO int8"): "inference int8, batches of 64",
          ("article recipe, an epoch from JPEGs, f32", "PyTorch, best setting"): "an epoch of the experiment, f32",
          ("article recipe, an epoch from JPEGs, auto", "PyTorch, best setting"): "the same, `--precision auto`",
          ("full fine-tuning f32, batch 64", "PyTorch, best setting, f32"): "full fine-tuning, f32",
          ("process start to the first prediction", "PyTorch script"): "start to first prediction",
          ("peak resident memory, article recipe", "PyTorch"): "peak memory of the experiment"}


def tables(path):
    """Every row of every table in a file, as cells."""
    with open(path) as f:
        return [[cell.strip() for cell in line.strip()[1:-1].split("|")] for line in f if line.startswith("|")]


def percent(cell):
    """'0.8349 ± 0.0105' as '83.5 ± 1.1 %'."""
    return " ± ".join(f"{100 * float(x):.1f}" for x in cell.split("±")) + " %"


def recipe(recipes):
    """Five seeds of the default recipe beside the best figures published with seeds and selection on validation alone (Doerrich et
    al., Scientific Reports 15, 2025: ResNet-18, three seeds, the same test images)."""
    mean = next(row for row in tables(recipes) if row[0] == "mean ± sd")
    yield ["test accuracy, recipe `finetune`, five seeds", percent(mean[1]), "91.1 ± 1.0 % (Doerrich et al. 2025)", ""]
    yield ["test AUROC", mean[3], "0.980 ± 0.003 (the same)", ""]


def article(results):
    means = {row[0].split(",")[0]: row for row in tables(results) if row[0].endswith("mean ± sd")}
    ours, theirs = means["cxr"], means["PyTorch"]
    yield ["test accuracy, recipe `article`, three seeds", percent(ours[1]), f"PyTorch {percent(theirs[1])}; the article 82.5 %", ""]
    yield ["test AUROC", ours[2], f"PyTorch {theirs[2]}", ""]


def ratios(performance):
    found = {}
    for row in tables(performance):
        found.setdefault((row[0], row[1]), row)  # the ratios come first; what follows names contenders in the same places
    for key, name in RATIOS.items():
        if key in found and not found[key][2].startswith("–"):
            row = found[key]
            yield [name, row[5], row[6], row[2].split(" ")[0]]


def main():
    docs = os.path.join(ROOT, "docs")
    performance, results, recipes, readme = sys.argv[1:] or (*(os.path.join(docs, name + ".md") for name in
                                                               ("PERFORMANCE", "RESULTS", "RECIPES")), os.path.join(ROOT, "README.md"))
    rows = [["", "cxr", "beside", "ratio"], ["---"] * 4, *recipe(recipes), *article(results), *ratios(performance)]
    section.replace(readme, "figures", ["| " + " | ".join(row) + " |" for row in rows])


if __name__ == "__main__":
    main()
