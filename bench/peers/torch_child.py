"""PyTorch's side of training, a process of its own: it says when it is ready and measures once for each line on standard input.
Lines of JSON.

Usage: torch_child.py article|tune|step SETTING f32|bf16 --threads N [--once] [--data FOLDER --split SPLIT.csv] [--weights FILE.pth]

article: an epoch of the article recipe from JPEG files, validation included; tune: the same with nothing frozen; step: a step on
64 images, nothing frozen. SETTING: eager, channels-last, or best, which tries these and torch.compile on a few batches and keeps
the fastest. Epochs get the better of none and as many loader workers as threads. bf16 is autocast. --once: one epoch without
loader workers, for the memory of it.
"""
import argparse
import itertools
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import torch
import torch_article
from torch import nn
from torchvision.models import resnet18


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("work", choices=("article", "tune", "step"))
    p.add_argument("setting", choices=("eager", "channels-last", "best"))
    p.add_argument("precision", choices=("f32", "bf16"))
    p.add_argument("--threads", type=int, required=True)
    p.add_argument("--once", action="store_true")
    for name in ("--data", "--split", "--weights"):
        p.add_argument(name)
    return p.parse_args()


def network(a):
    model = resnet18()
    if a.weights:
        model.load_state_dict(torch.load(a.weights, weights_only=True))
    model.fc = torch_article.head()
    for name, p in model.named_parameters():
        p.requires_grad = a.work != "article" or name.startswith("fc.")
    return model


class Work:
    def __init__(self, a, channels_last=False, compiled=False):
        self.a = a
        self.name = " ".join(w for w, used in (("channels-last", channels_last), ("compiled", compiled)) if used) or "eager"
        self.form = torch.channels_last if channels_last else torch.contiguous_format
        self.model = network(a).to(memory_format=self.form)
        self.run = torch.compile(self.model) if compiled else self.model
        self.optimizer = torch.optim.Adam([p for p in self.model.parameters() if p.requires_grad], lr=1e-4)

    def autocast(self):
        return torch.autocast("cpu", torch.bfloat16, enabled=self.a.precision == "bf16")

    def train_mode(self):
        """The frozen part in evaluation mode, so that its batch norms keep their statistics."""
        self.model.train(self.a.work != "article")
        self.model.fc.train()

    def step(self, x, y):
        self.optimizer.zero_grad()
        with self.autocast():
            out = self.run(x.to(memory_format=self.form))
        nn.functional.nll_loss(out.float(), y).backward()
        self.optimizer.step()

    @torch.no_grad()
    def loss(self, x, y):
        with self.autocast():
            return nn.functional.nll_loss(self.run(x.to(memory_format=self.form)).float(), y)


class Epoch(Work):
    def __init__(self, a, workers, **form):
        super().__init__(a, **form)
        self.name += f", {workers} workers"
        options = {"num_workers": workers, "persistent_workers": workers > 0}
        self.train, self.val = (torch.utils.data.DataLoader(torch_article.Images(a, split, transform), 64,
                                                            shuffle=split == "train", **options)
                                for split, transform in (("train", torch_article.AUGMENT), ("val", torch_article.PLAIN)))

    def batches(self, count=None):
        self.train_mode()
        for x, y in itertools.islice(self.train, count):
            if len(y) > 1:
                self.step(x, y)

    def validate(self, count=None):
        self.model.eval()
        for x, y in itertools.islice(self.val, count):
            self.loss(x, y)

    def warm(self):
        self.batches(2)
        self.validate(1)

    def probe(self):
        start = time.perf_counter()
        self.batches(8)
        return time.perf_counter() - start

    def measure(self):
        start = time.perf_counter()
        self.batches()
        self.validate()
        return time.perf_counter() - start


class Step(Work):
    def __init__(self, a, **form):
        super().__init__(a, **form)
        self.train_mode()
        self.x, self.y = torch.randn(64, 3, 128, 128), torch.arange(64) % 2

    def warm(self):
        self.step(self.x, self.y)

    def probe(self):
        return self.measure(2)

    def measure(self, steps=3):
        self.warm()
        start = time.perf_counter()
        for _ in range(steps):
            self.step(self.x, self.y)
        return (time.perf_counter() - start) / steps


def tries(a):
    channels_last = {"channels_last": True}
    forms = {"eager": [{}], "channels-last": [channels_last], "best": [channels_last, {**channels_last, "compiled": True}]}
    if a.work == "step":
        forms["best"].append({})
    for form in forms[a.setting]:
        if a.work == "step":
            yield lambda form=form: Step(a, **form)
        else:
            for workers in (0,) if a.once else (0, a.threads):
                yield lambda form=form, workers=workers: Epoch(a, workers, **form)


def fastest(a):
    best, least = None, float("inf")
    for make in tries(a):
        work = make()
        try:
            work.warm()
            seconds = work.probe()
        except Exception as why:  # torch.compile needs a compiler, which a machine may lack
            print(f"{work.name}: {why}", file=sys.stderr)
            continue
        if seconds < least:
            best, least = work, seconds
    return best


def main():
    a = arguments()
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    if a.once:
        next(tries(a))().measure()
        return
    work = fastest(a)
    if a.work == "article":
        work.measure()  # the last, smaller batches may be compiled anew
    print(json.dumps({"ready": work.name}), flush=True)
    for _ in sys.stdin:
        print(json.dumps({"seconds": work.measure()}), flush=True)
    os._exit(0)  # loader workers would be waited for


main()
