"""Training: the article recipe's epoch, full fine-tuning, cached features, and the memory of the first two."""
import contextlib
import itertools
import statistics

from child import Child, peak_mib, torch_command
from rounds import Measurement, Row, interleave

numbers = itertools.count()


def cxr_epochs(s, data, *options):
    """Seconds of each epoch of a run, as its results.csv tells."""
    return [float(r["seconds"]) for r in s.results(s.train(data, f"run-{next(numbers)}", *options))]


# ---- Epochs from JPEG files ----

ARTICLE = "article recipe, an epoch from JPEGs, "
AS_PUBLISHED, BEST = "PyTorch eager, as published", "PyTorch, best setting"


def article_rows():
    goals = {("f32", AS_PUBLISHED): 4.0, ("f32", BEST): 2.0, ("auto", AS_PUBLISHED): 4.5, ("auto", BEST): 1.4}
    return [Row(f"article-{precision}-{'best' if against == BEST else 'eager'}", ARTICLE + precision, against, goal, unit="s", scale=1)
            for (precision, against), goal in goals.items()]


def article(s, *rows):
    """Ratios to PyTorch eager in f32, and to its best setting: in f32 against f32, in autocast to bf16 against auto."""
    run = s.train(s.small, f"run-{next(numbers)}", "--epochs", 1)
    ours = {p: lambda p=p: cxr_epochs(s, s.small, "--recipe", "article", "--epochs", 1, "--precision", p)[0] for p in ("f32", "auto")}
    with contextlib.ExitStack() as stack:
        eager, best_f32, best_bf16 = (stack.enter_context(Child(s, "article", *setting, s.small, run))
                                      for setting in (("eager", "f32"), ("best", "f32"), ("best", "bf16")))
        found = interleave({**ours, eager: eager, best_f32: best_f32, best_bf16: best_bf16}, s.rounds)
    for row, precision, child in zip(rows, ("f32", "f32", "auto", "auto"), (eager, best_f32, eager, best_bf16)):
        row.ours, row.peers = found[precision], {f"PyTorch {child.setting}": found[child]}
        row.notes = [f"{len(s.results_of_split(run))} images"]


# ---- Steps ----

def fine_tuning(s, row, precision):
    with Child(s, "step", "best", precision) as child:
        ours = lambda *o, **f: s.bench("step", precision, 64, "--freeze", "none", *o, **f)
        row.take(interleave({"cxr": lambda: ours("--no-limit"), f"PyTorch {child.setting}": child}, s.rounds))
    row.limit = [ours(field="share_of_limit")]


# ---- Features at the cut ----

def cached_features(s, row):
    options = ("--freeze", "layer3", "--epochs", 3)
    later = lambda *o: statistics.mean(cxr_epochs(s, s.small, *options, *o)[1:])
    row.take(interleave({"cxr": lambda: later("--cache-features", 1), "cxr, nothing cached at the cut": later}, min(s.rounds, 3)))


def head_on_features(s, row):
    """Epochs of the head alone, all of the training images."""
    options = ("--recipe", "article", "--flip", 0, "--rotate", 0, "--cache-features", 1, "--epochs", 101)
    row.ours = [sum(cxr_epochs(s, s.data, *options)[1:]) for _ in range(min(s.rounds, 3))]


# ---- Memory ----

def memory(s, row, data, work, *options):
    """Peaks of whole processes: an epoch from JPEG files, validation included, PyTorch's without loader workers, which would add
    their own."""
    run = s.path(f"run-{next(numbers)}")
    row.ours = [peak_mib([s.cxr, "train", data, "--recipe", "article", "--weights", s.weights or "none", "--threads", s.threads,
                          "--epochs", 1, "--quiet", "--out", run, *options])]
    row.peers = {f"PyTorch {setting}": [peak_mib(torch_command(s, work, setting, "f32", data, run, "--once"))]
                 for setting in ("eager", "channels-last")}
    row.notes = [f"{len(s.results_of_split(run))} images"]


def measurements(s):
    step = {"unit": "images/s", "per": 64}
    seconds, mib = {"unit": "s", "scale": 1}, {"unit": "MiB", "scale": 1}
    goals = {"f32": 2.0, "bf16": 1.25}
    return [
        Measurement("article", article_rows(), lambda *rows: article(s, *rows)),
        *(Measurement(f"finetune-{p}", [Row(f"finetune-{p}", f"full fine-tuning {p}, batch 64", f"PyTorch, best setting, {p}", goal,
                                            **step)], lambda row, p=p: fine_tuning(s, row, p)) for p, goal in goals.items()),
        Measurement("cached-layer3", [Row("cached-layer3", "--freeze layer3 --cache-features 1, second epoch on",
                                          "our own epoch without", 3.0, **seconds)], lambda row: cached_features(s, row)),
        Measurement("head-100", [Row("head-100", "100 epochs of the head on cached features", "", most=5.0, **seconds)],
                    lambda row: head_on_features(s, row)),
        Measurement("memory-article", [Row("memory-article", "peak resident memory, article recipe", "PyTorch", 1 / 0.4, **mib)],
                    lambda row: memory(s, row, s.small if s.quick else s.data, "article")),
        Measurement("memory-finetune", [Row("memory-finetune", "peak resident memory, full fine-tuning", "PyTorch", 1 / 0.6, **mib)],
                    lambda row: memory(s, row, s.small, "tune", "--freeze", "none"))]
