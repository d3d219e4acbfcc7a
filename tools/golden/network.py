"""Whole networks: torchvision's ResNets with the head as torch.nn.Sequential, in float64, weights from the keyed generator.

network.txt, ResNet-18 with head 256,128 and dropout 0.5, 4 images of 64 x 64, labels 0 and 1 in turn:
  eval.logits, eval.logp (4 x 2), eval.NODE       outputs with running statistics; summaries after each stage
  train.logp (4 x 2), train.loss                  with batch statistics and keyed dropout; loss is the mean NLL
  train.grad.PARAM                                summary of the gradient of every parameter
  train.stat.PARAM                                summary of every running statistic after that one forward
  eval34.logits                                   the same of ResNet-34

optim.txt, ten steps each (step = 1..10), always on the same batch of 8 images, labels in turn, dropout's key of a step being
rng_key(SEED, TEST, step, 0):
  OPT.loss (10)             mean NLL of each step, before its update
  OPT.stepS.PARAM           summary of (parameter after step S - its start), S in 1, 5, 10, learnable parameters only
with OPT one of
  adam   lr 1e-3                               head only: 64 x 64 images, backbone frozen with running statistics
  adamw  lr 1e-3, weight_decay 0.01 but of norms and biases   head only
  sgd    lr 1e-2, momentum 0.9, decay 1e-4     head only
  full   as sgd but lr 1e-4, every layer training, 32 x 32 images (at 1e-3 and more rounding
         grows tenfold every two steps, in PyTorch's own float32 as much)
Betas 0.9, 0.999 and epsilon 1e-8. Decay of the others touches every learnable parameter. Summaries are fixture.summary().
"""
import copy

import numpy as np
import torch
import torch.nn.functional as F
import torchvision

import keyed_rng as rng
from fixture import dropout_scale, fill, keyed, pixels, summary

MEAN, STD = (np.float32(v).astype(np.float64) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
KEY_PIXELS, KEY_DROPOUT = 1, 2


class KeyedDropout(torch.nn.Module):
    """Dropout whose mask is a function of (key, node, element): cxr_dropout_keep()."""

    def __init__(self, node, rate):
        super().__init__()
        self.node, self.rate, self.key = node, rate, 0

    def forward(self, x):
        return x * torch.tensor(dropout_scale(self.key, self.node, x.shape, self.rate)) if self.training else x


def set_key(model, k):
    for m in model.modules():
        if isinstance(m, KeyedDropout):
            m.key = k


def head(avgpool_node, features, widths, rate, classes):
    """cxr_graph_head(): module i of the Sequential is node avgpool_node + 1 + i."""
    layers = []
    for width in widths:
        layers += [torch.nn.Linear(features, width), torch.nn.BatchNorm1d(width), torch.nn.ReLU()]
        layers.append(KeyedDropout(avgpool_node + 1 + len(layers), rate))
        features = width
    return torch.nn.Sequential(*layers, torch.nn.Linear(features, classes), torch.nn.LogSoftmax(1))


def bounds(name, shape, norms):
    """The range that a parameter is drawn from, by its role."""
    if len(shape) > 1:
        bound = np.float32(np.sqrt(6.0 * shape[0] / np.prod(shape)))
        return -bound, bound
    module, kind = name.rsplit(".", 1)
    if module not in norms:
        return -0.1, 0.1
    return {"weight": (0.5, 1.0), "running_var": (0.5, 1.5)}.get(kind, (-0.2, 0.2))


def fill_model(model, seed):
    """cxr_keyed_params()."""
    norms = {n for n, m in model.named_modules() if isinstance(m, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d))}
    for name, tensor in model.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            low, high = bounds(name, tensor.shape, norms)
            tensor.copy_(torch.tensor(fill(keyed(seed, rng.name_number(name)), tuple(tensor.shape), low, high)))


def network(arch, seed):
    """avgpool is node 68 of ResNet-18: input, normalize, conv1, bn1, relu, maxpool, 8 blocks of 7, 3 downsamples of 2."""
    model = getattr(torchvision.models, arch)(weights=None).double()
    blocks = sum(len(getattr(model, f"layer{i}")) for i in range(1, 5))
    model.fc = head(6 + 7 * blocks + 3 * 2, 512, (256, 128), 0.5, 2).double()
    fill_model(model, seed)
    return model


def greys(seed, n, size):
    return pixels(keyed(seed, KEY_PIXELS), (n, 1, size, size))


def normalized(grey):
    return torch.tensor((grey / 255.0 - MEAN.reshape(3, 1, 1)) / STD.reshape(3, 1, 1))


def images(seed, n, size):
    return normalized(greys(seed, n, size))


def run(model, x):
    """Logits and log-probabilities."""
    kept = {}
    hook = model.fc[-2].register_forward_hook(lambda m, i, o: kept.update(logits=o))
    logp = model(x)
    hook.remove()
    return kept["logits"], logp


def put_eval(out, model, x, seed):
    hooks = []
    for stage in ("layer1", "layer2", "layer3", "layer4", "avgpool"):
        node = stage if stage == "avgpool" else stage + ".1"
        hooks.append(getattr(model, stage).register_forward_hook(
            lambda m, i, o, node=node: out.put("eval." + node, summary(seed, node, o.detach()))))  # fmt: skip
    logits, logp = run(model.eval(), x)
    for h in hooks:
        h.remove()
    out.put("eval.logits", logits.detach())
    out.put("eval.logp", logp.detach())


def write_network(out, seed):
    x, labels = images(seed, 4, 64), torch.arange(4) % 2
    model = network("resnet18", seed)
    put_eval(out, model, x, seed)
    set_key(model, keyed(seed, KEY_DROPOUT))
    logp = model.train()(x)
    loss = F.nll_loss(logp, labels)
    loss.backward()
    out.put("train.logp", logp.detach())
    out.put("train.loss", loss.detach())
    for name, p in model.named_parameters():
        out.put("train.grad." + name, summary(seed, name, p.grad))
    for name, b in model.named_buffers():
        if not name.endswith("num_batches_tracked"):
            out.put("train.stat." + name, summary(seed, name, b))
    out.put("eval34.logits", run(network("resnet34", seed).eval(), x)[0].detach())


def ten_steps(out, name, seed, model, parameters, optimizer, x, forward):
    labels = torch.arange(len(x)) % 2
    start = {n: p.detach().clone() for n, p in parameters}
    losses = []
    for step in range(1, 11):
        set_key(model, rng.key(seed, rng.TEST, step, 0))
        optimizer.zero_grad()
        loss = F.nll_loss(forward(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step in (1, 5, 10):
            for n, p in parameters:
                out.put(f"{name}.step{step}.{n}", summary(seed, n, p.detach() - start[n]))
    out.put(name + ".loss", losses)


def decay_weights(named, decay):
    """Parameter groups: decay for the weights of layers, none for norms and biases, which are vectors."""
    return [{"params": [p for _, p in named if p.dim() >= 2], "weight_decay": decay},
            {"params": [p for _, p in named if p.dim() < 2], "weight_decay": 0.0}]


def write_optim(out, seed):
    frozen = network("resnet18", seed).eval()
    kept = {}
    hook = frozen.avgpool.register_forward_hook(lambda m, i, o: kept.update(x=o.flatten(1).detach()))
    frozen(images(seed, 8, 64))
    hook.remove()
    make = {
        "adam": lambda p: torch.optim.Adam([q for _, q in p], lr=1e-3),
        "adamw": lambda p: torch.optim.AdamW(decay_weights(p, 0.01), lr=1e-3),
        "sgd": lambda p: torch.optim.SGD([q for _, q in p], lr=1e-2, momentum=0.9, weight_decay=1e-4),
    }
    for name, optimizer in make.items():
        model = copy.deepcopy(frozen)
        model.fc.train()
        parameters = [(n, p) for n, p in model.named_parameters() if n.startswith("fc.")]
        ten_steps(out, name, seed, model, parameters, optimizer(parameters), kept["x"], model.fc)
    model = network("resnet18", seed).train()
    parameters = list(model.named_parameters())
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-4)
    ten_steps(out, "full", seed, model, parameters, optimizer, images(seed, 8, 32), model)
