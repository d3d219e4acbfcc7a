"""Training: the article recipe's epoch, full fine-tuning, cached features, and the memory of the first two."""
import itertools
import os
import statistics

from child import Child, peak_mib
from rounds import Row, interleave

numbers = itertools.count()


def cxr_epochs(s, data, *options):
    """Seconds of each epoch of a run, as its results.csv tells."""
    return [float(r["seconds"]) for r in s.results(s.train(data, f"run-{next(numbers)}", *options))]


# ---- Epochs from JPEG files ----

def article(s, precision):
    """Ratios to PyTorch eager as published, and to its best setting."""
    auto = precision == "auto"
    eager, best = (Row(f"article-{precision}-{key}", f"article recipe, an epoch from JPEGs, {precision}", against, goal, unit="s",
                       scale=1) for key, against, goal in (("eager", "PyTorch eager, as published", 4.5 if auto else 4.0),
                                                           ("best", "PyTorch, best setting", 1.4 if auto else 2.0)))
    run = s.train(s.small, f"run-{next(numbers)}", "--epochs", 1)
    children = {"eager": Child(s, "article", "eager", "f32", run),
                "best": Child(s, "article", "best", "bf16" if auto else "f32", run)}
    ours = lambda: cxr_epochs(s, s.small, "--recipe", "article", "--epochs", 1, "--precision", precision)[0]
    found = interleave({"cxr": ours, **children}, s.rounds)
    for row, key in ((eager, "eager"), (best, "best")):
        row.ours, row.peers = found["cxr"], {f"PyTorch {children[key].setting}": found[key]}
        row.notes.append(f"{len(s.results_of_split(run))} images")
        children[key].close()
    return [eager, best]


# ---- Steps ----

def fine_tuning(s, precision, goal):
    row = Row(f"finetune-{precision}", f"full fine-tuning {precision}, batch 64", f"PyTorch, best setting, {precision}", goal,
              unit="images/s", per=64)
    child = Child(s, "full", "best", precision)
    ours = lambda **o: s.bench("step", precision, 64, "--freeze", "none", *(() if o else ("--no-limit",)), **o)
    row.take(interleave({"cxr": ours, f"PyTorch {child.setting}": child}, s.rounds))
    child.close()
    row.limit = [ours(field="share_of_limit")]
    return row


# ---- Features at the cut ----

def cached_features(s):
    row = Row("cached-layer3", "--freeze layer3 --cache-features 1, second epoch on", "our own epoch without", 3.0, unit="s", scale=1)
    options = ("--freeze", "layer3", "--epochs", 3)
    later = lambda *o: statistics.mean(cxr_epochs(s, s.small, *options, *o)[1:])
    return row.take(interleave({"cxr": lambda: later("--cache-features", 1), "cxr, nothing cached at the cut": later}, s.rounds))


def head_on_features(s):
    """Epochs of the head alone, all of the training images."""
    row = Row("head-100", "100 epochs of the head on cached features", "", most=5.0, unit="s", scale=1)
    options = ("--recipe", "article", "--flip", 0, "--rotate", 0, "--cache-features", 1, "--epochs", 101)
    row.ours = [sum(cxr_epochs(s, s.data, *options)[1:]) for _ in range(1 if s.quick else 3)]
    return row


# ---- Memory ----

def memory(s, key, work, goal, child, *options):
    row = Row(key, "peak resident memory, " + work, "PyTorch eager", goal, unit="MiB", scale=1)
    command = [s.cxr, "train", s.data if key == "memory-article" else s.small, "--weights", s.weights or "none", "--threads", s.threads,
               "--epochs", 1, "--quiet", *options]
    row.ours = [peak_mib([*command, "--out", s.path(f"run-{next(numbers)}")])]
    child()
    child.close()
    row.peers = {"PyTorch eager": [child.mib]}
    return row


def article_memory(s):
    run = s.train(s.small, f"run-{next(numbers)}", "--epochs", 1)
    return memory(s, "memory-article", "article recipe", 1 / 0.4, Child(s, "article", "eager", "f32", run), "--recipe", "article")


def fine_tuning_memory(s):
    return memory(s, "memory-finetune", "full fine-tuning", 1 / 0.6, Child(s, "full", "eager", "f32"), "--freeze", "none")


def rows(s):
    return {"article-f32": lambda: article(s, "f32"), "article-auto": lambda: article(s, "auto"),
            "finetune-f32": lambda: fine_tuning(s, "f32", 2.0), "finetune-bf16": lambda: fine_tuning(s, "bf16", 1.25),
            "cached-layer3": lambda: cached_features(s), "head-100": lambda: head_on_features(s),
            "memory-article": lambda: article_memory(s), "memory-finetune": lambda: fine_tuning_memory(s)}
