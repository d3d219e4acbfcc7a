"""Schedules and losses.

schedules.txt: cosine10, onecycle10, onecycle100: the learning rate of each step, peak 0.01.
losses.txt: logp (5 x 3), weights (3); for plain, weighted, smoothed (0.1), both: NAME.loss and NAME.grad (5 x 3), the gradient
with respect to the log-probabilities; labels 0 1 2 1 1.
"""
import torch
import torch.nn.functional as F

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


def write_losses(out, seed):
    logits = torch.tensor(fill(keyed(seed, 7), (5, 3), -2.0, 2.0))
    logp = torch.log_softmax(logits, 1).float().double()
    labels = torch.tensor([0, 1, 2, 1, 1])
    weights = torch.tensor([0.5, 1.5, 2.25]).double()
    out.put("logp", logp)
    out.put("weights", weights)
    for name, weight, smoothing in (("plain", None, 0.0), ("weighted", weights, 0.0), ("smoothed", None, 0.1), ("both", weights, 0.1)):
        x = logp.clone().requires_grad_()
        w = torch.ones(3).double() if weight is None else weight
        # torch.nn.CrossEntropyLoss's definition over given log-probabilities; it would normalise them a second time.
        target = F.one_hot(labels, 3) * (1.0 - smoothing) + smoothing / 3
        loss = -(target * w * x).sum() / w[labels].sum()
        reference = F.cross_entropy(logits, labels, weight=weight, label_smoothing=smoothing)
        assert abs(loss.item() - reference.item()) < 1e-6, name
        loss.backward()
        out.put(name + ".loss", reference)
        out.put(name + ".grad", x.grad)
