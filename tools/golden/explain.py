"""Class activation maps by PyTorch's own gradients, in float64: the network of network.txt, 4 images of 64 x 64.

explain.txt, for LAYER in layer2, layer3, layer4, METHOD in grad_cam, grad_cam_pp, and the class 0, 1, 0, 1 of the images in turn:
  logits (4 x 2)           before the log-softmax, whose gradients are taken
  METHOD.LAYER (4 x H x W) the maps before resizing

Grad-CAM as Selvaraju et al. (2017) write it; Grad-CAM++ as Chattopadhay et al. (2018), eq. 19, for the score exp(logit), with the
factor exp(logit) left out.
"""
import torch

from network import images, network, run


def grad_cam(a, g):
    return torch.relu((g.mean((2, 3), keepdim=True) * a).sum(1))


def grad_cam_pp(a, g):
    below = 2 * g**2 + a.sum((2, 3), keepdim=True) * g**3
    alpha = torch.where(g != 0, g**2 / torch.where(below != 0, below, 1.0), 0.0)
    return torch.relu(((alpha * torch.relu(g)).sum((2, 3), keepdim=True) * a).sum(1))


def write(out, seed):
    model, kept = network("resnet18", seed).eval(), {}
    layers = [getattr(model, f"layer{i}") for i in (2, 3, 4)]
    hooks = [l.register_forward_hook(lambda m, i, o, k=k: kept.update({k: o})) for k, l in enumerate(layers, 2)]
    logits, _ = run(model, images(seed, 4, 64))
    for h in hooks:
        h.remove()
    out.put("logits", logits.detach())
    score = logits[torch.arange(4), torch.arange(4) % 2].sum()
    gradients = torch.autograd.grad(score, [kept[k] for k in (2, 3, 4)])
    for k, g in zip((2, 3, 4), gradients):
        a = kept[k].detach()
        out.put(f"grad_cam.layer{k}", grad_cam(a, g))
        out.put(f"grad_cam_pp.layer{k}", grad_cam_pp(a, g))
