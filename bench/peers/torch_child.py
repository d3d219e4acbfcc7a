"""PyTorch's side of training, a process of its own: it says when it is ready, measures once for each line on standard input, and
tells its peak memory at the end. Lines of JSON.

Usage: torch_child.py article|full eager|best f32|bf16 --threads N [--data FOLDER --split SPLIT.csv] [--weights FILE.pth]

article: an epoch of the article recipe from JPEG files, validation included; full: a step on 64 images, nothing frozen.
`best` tries channels-last, torch.compile and, for epochs, loader workers on a few batches and keeps the fastest; bf16 is autocast.
"""
import argparse
import itertools
import json
import os
import resource
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import torch
import torch_article
from torch import nn
from torchvision.models import resnet18


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("work", choices=("article", "full"))
    p.add_argument("setting", choices=("eager", "best"))
    p.add_argument("precision", choices=("f32", "bf16"))
    p.add_argument("--threads", type=int, required=True)
    for name in ("--data", "--split", "--weights"):
        p.add_argument(name)
    return p.parse_args()


def network(a, frozen):
    model = resnet18()
    if a.weights:
        model.load_state_dict(torch.load(a.weights, weights_only=True))
    model.fc = torch_article.head()
    for name, p in model.named_parameters():
        p.requires_grad = not frozen or name.startswith("fc.")
    return model


class Work:
    def __init__(self, a, channels_last, compiled):
        self.a = a
        self.name = " ".join(w for w, used in (("channels-last", channels_last), ("compiled", compiled)) if used) or "eager"
        self.form = torch.channels_last if channels_last else torch.contiguous_format
        self.model = network(a, a.work == "article").to(memory_format=self.form)
        self.run = torch.compile(self.model) if compiled else self.model
        self.optimizer = torch.optim.Adam([p for p in self.model.parameters() if p.requires_grad], lr=1e-4)

    def autocast(self):
        return torch.autocast("cpu", torch.bfloat16, enabled=self.a.precision == "bf16")

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
    """The frozen part in evaluation mode, so that its batch norms keep their statistics."""

    def __init__(self, a, channels_last=False, compiled=False, workers=0):
        super().__init__(a, channels_last, compiled)
        self.name += f", {workers} workers"
        options = {"num_workers": workers, "persistent_workers": workers > 0}
        self.train, self.val = (torch.utils.data.DataLoader(torch_article.Images(a, split, transform), 64,
                                                            shuffle=split == "train", **options)
                                for split, transform in (("train", torch_article.AUGMENT), ("val", torch_article.PLAIN)))

    def batches(self, count=None):
        self.model.eval()
        self.model.fc.train()
        for x, y in itertools.islice(self.train, count):
            if len(y) > 1:
                self.step(x, y)

    def warm(self):
        self.batches(2)
        self.validate(1)

    def validate(self, count=None):
        self.model.eval()
        for x, y in itertools.islice(self.val, count):
            self.loss(x, y)

    def probe(self):
        start = time.perf_counter()
        self.batches(6)
        return time.perf_counter() - start

    def measure(self):
        start = time.perf_counter()
        self.batches()
        self.validate()
        return time.perf_counter() - start


class Step(Work):
    def __init__(self, a, channels_last=False, compiled=False):
        super().__init__(a, channels_last, compiled)
        self.model.train()
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


def choose(a):
    kind = Epoch if a.work == "article" else Step
    if a.setting == "eager":
        work = kind(a)
        work.warm()
        return work
    tries = [{"channels_last": True}, {"channels_last": True, "compiled": True}]
    if kind is Step:
        tries.append({})
    best, least = None, float("inf")
    for t in tries:
        for workers in (0, a.threads) if kind is Epoch else (None,):
            work = kind(a, **t, **({} if workers is None else {"workers": workers}))
            try:
                work.warm()
            except Exception:  # torch.compile needs a compiler, which a machine may lack
                continue
            seconds = work.probe()
            if seconds < least:
                best, least = work, seconds
    return best


def main():
    a = arguments()
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    work = choose(a)
    print(json.dumps({"ready": work.name}), flush=True)
    for _ in sys.stdin:
        print(json.dumps({"seconds": work.measure()}), flush=True)
    print(json.dumps({"mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}), flush=True)
    os._exit(0)  # loader workers would be waited for


main()
