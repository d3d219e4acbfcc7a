"""Schedules, averages, losses, and optimisers whose parameters are unfrozen in stages.

schedules.txt: cosine10, onecycle10, onecycle100: the learning rate of each step, peak 0.01.
averages.txt: swaE.NAME for E in 1..5: what a run of five epochs that averages the last three (AveragedModel with use_buffers) is
after epoch E, where the weights then are keyed(seed, 100 E + place of NAME), uniform in -1..1.
losses.txt: logp (5 x 3), weights (3); for plain, weighted, smoothed (0.1), both, and mixed (both, 0.3 of it with the labels and
0.7 with these turned round): NAME.loss and NAME.grad (5 x 3), the gradient with respect to the log-probabilities; labels 0 1 2
1 1. teachers (2 x 5 x 3), log-probabilities of two teachers, and soft (5 x 3), the mean of their softmax at temperature 3;
distilled.loss and .grad: 0.4 times mixed and 0.6 times 9 times the KL divergence from soft at that temperature.
stages.txt: OPT.stepS.PARAM: three linear layers a (4 x 3), b (5 x 4) and c (2 x 5) after step S under one optimiser of all of them;
only c requires a gradient until step 3, b and c until step 7, all until step 12. The gradients are given, those of a step keyed by
(seed, step, name). OPT is one of
  adam   lr 0.05, weight_decay 0.1
  adamw  lr 0.05, weight_decay 0.1 but of biases
  sgd    lr 0.05, momentum 0.9, weight_decay 0.1
"""
from collections import OrderedDict

import torch
import torch.nn.functional as F

import keyed_rng as rng
from fixture import fill, keyed


def rates(make, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    schedule = make(optimizer)
    out = []
    for _ in range(steps):
        out.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(out) < steps:
            schedule.step()
    return out


def write_schedules(out, seed):
    from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

    out.put("cosine10", rates(lambda o: CosineAnnealingLR(o, T_max=10), 10))
    for steps in (10, 100):
        out.put(f"onecycle{steps}", rates(lambda o: OneCycleLR(o, 0.01, total_steps=steps, cycle_momentum=False), steps))


def write_averages(out, seed):
    net = torch.nn.Sequential(OrderedDict(fc=torch.nn.Linear(1, 3), bn=torch.nn.BatchNorm1d(3))).double()
    average = torch.optim.swa_utils.AveragedModel(net, use_buffers=True)
    names = ["fc.weight", "fc.bias", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"]
    for epoch in range(1, 6):
        for place, name in enumerate(names):
            tensor = net.state_dict()[name]
            tensor.copy_(torch.tensor(fill(keyed(seed, 100 * epoch + place), tuple(tensor.shape), -1.0, 1.0)))
        if epoch > 2:
            average.update_parameters(net)
        for name in names:
            out.put(f"swa{epoch}.{name}", (average.module if epoch > 2 else net).state_dict()[name])


def write_losses(out, seed):
    logits = torch.tensor(fill(keyed(seed, 7), (5, 3), -2.0, 2.0))
    logp = torch.log_softmax(logits, 1).float().double()
    labels = torch.tensor([0, 1, 2, 1, 1])
    weights = torch.tensor([0.5, 1.5, 2.25]).double()
    out.put("logp", logp)
    out.put("weights", weights)
    def put(name, weight, smoothing, shares, distil=None):
        x = logp.clone().requires_grad_()
        w = torch.ones(3).double() if weight is None else weight
        total = reference = 0.0
        for share, of in shares:
            # torch.nn.CrossEntropyLoss's definition over given log-probabilities; it would normalise them a second time.
            target = F.one_hot(of, 3) * (1.0 - smoothing) + smoothing / 3
            total = total - share * (target * w * x).sum() / w[of].sum()
            reference = reference + share * F.cross_entropy(logits, of, weight=weight, label_smoothing=smoothing)
        assert abs(total.item() - reference.item()) < 1e-6, name
        if distil is not None:
            share, temperature, soft = distil
            soft_loss = F.kl_div(F.log_softmax(x / temperature, 1), soft, reduction="batchmean") * temperature**2
            total = (1 - share) * total + share * soft_loss
            reference = (1 - share) * reference + share * soft_loss.item()
        total.backward()
        out.put(name + ".loss", reference)
        out.put(name + ".grad", x.grad)

    put("plain", None, 0.0, [(1.0, labels)])
    put("weighted", weights, 0.0, [(1.0, labels)])
    put("smoothed", None, 0.1, [(1.0, labels)])
    put("both", weights, 0.1, [(1.0, labels)])
    both_labels = [(0.3, labels), (0.7, labels.flip(0))]
    put("mixed", weights, 0.1, both_labels)
    teachers = torch.log_softmax(torch.tensor(fill(keyed(seed, 8), (2, 5, 3), -4.0, 4.0)), 2).float().double()
    soft = torch.softmax(teachers / 3.0, 2).mean(0)
    out.put("teachers", teachers)
    out.put("soft", soft)
    put("distilled", weights, 0.1, both_labels, (0.6, 3.0, soft))


def write_stages(out, seed):
    rate = 0.05
    decays = lambda p: [{"params": [q for q in p if q.dim() >= 2], "weight_decay": 0.1},
                        {"params": [q for q in p if q.dim() < 2], "weight_decay": 0.0}]  # fmt: skip
    make = {
        "adam": lambda p: torch.optim.Adam(p, lr=rate, weight_decay=0.1),
        "adamw": lambda p: torch.optim.AdamW(decays(p), lr=rate),
        "sgd": lambda p: torch.optim.SGD(p, lr=rate, momentum=0.9, weight_decay=0.1),
    }
    for opt, optimizer_of in make.items():
        model = torch.nn.Sequential()
        for name, outputs, inputs in (("a", 4, 3), ("b", 5, 4), ("c", 2, 5)):
            model.add_module(name, torch.nn.Linear(inputs, outputs))
        named = list(model.double().named_parameters())
        with torch.no_grad():
            for name, p in named:
                p.copy_(torch.tensor(fill(keyed(seed, rng.name_number(name)), tuple(p.shape), -0.5, 0.5)))
        optimizer = optimizer_of([p for _, p in named])
        for step in range(1, 13):
            trained = "c" if step <= 3 else "bc" if step <= 7 else "abc"
            optimizer.zero_grad()
            loss = 0.0
            for name, p in named:
                p.requires_grad_(name[0] in trained)
                g = fill(rng.key(seed, rng.TEST, step, rng.name_number(name)), tuple(p.shape), -1.0, 1.0)
                loss = loss + (torch.tensor(g) * p).sum()
            loss.backward()
            optimizer.step()
            if step in (3, 4, 7, 8, 12):
                for name, p in named:
                    out.put(f"{opt}.step{step}.{name}", p.detach())
