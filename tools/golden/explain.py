"""Class activation maps by PyTorch's own gradients, in float64: the network of network.txt, 4 images of 64 x 64.

explain.txt, for LAYER in layer2, layer3, layer4, METHOD in grad_cam, grad_cam_pp, and the class 0, 1, 0, 1 of the images in turn:
  logits (4 x 2)           before the log-softmax, whose gradients are taken
  METHOD.LAYER (4 x H x W) the maps before resizing
  occlusion (2 x 16 x 16)  of the first two images: a patch of 8 x 8 pixels moved by 4, filled with the image's mean grey, rounded
  deletion (2 x 33)        of the first two images, by their Grad-CAM of layer3 between the centres of its cells: probability of the
                           class as 0/32 .. 32/32 of the pixels, the most important first, become that grey

Grad-CAM as Selvaraju et al. (2017) write it; Grad-CAM++ as Chattopadhay et al. (2018), eq. 19, for the score exp(logit), with the
factor exp(logit) left out.
"""
import numpy as np
import torch

from network import greys, images, network, normalized, run


def grad_cam(a, g):
    return torch.relu((g.mean((2, 3), keepdim=True) * a).sum(1))


def grad_cam_pp(a, g):
    below = 2 * g**2 + a.sum((2, 3), keepdim=True) * g**3
    alpha = torch.where(g != 0, g**2 / torch.where(below != 0, below, 1.0), 0.0)
    return torch.relu(((alpha * torch.relu(g)).sum((2, 3), keepdim=True) * a).sum(1))


def logits_of(model, grey):
    with torch.no_grad():
        return torch.cat([run(model, part)[0] for part in normalized(grey).split(64)]).numpy()


def mean_grey(image):
    return np.floor(image.mean() + 0.5)


def occlusion(model, image, k, cells=16, patch=2):
    side, variants = image.shape[-1] // cells, [image]
    at = [(r, c) for r in range(cells - patch + 1) for c in range(cells - patch + 1)]
    for r, c in at:
        v = image.copy()
        v[..., r * side : (r + patch) * side, c * side : (c + patch) * side] = mean_grey(image)
        variants.append(v)
    y = logits_of(model, np.stack(variants))[:, k]
    drops, times = np.zeros((cells, cells)), np.zeros((cells, cells))
    for (r, c), v in zip(at, y[1:]):
        drops[r : r + patch, c : c + patch] += y[0] - v
        times[r : r + patch, c : c + patch] += 1
    return drops / times


def deletion(model, image, k, map_, steps=32):
    side = image.shape[-1]
    big = torch.nn.functional.interpolate(map_[None, None], (side, side), mode="bilinear", align_corners=False)
    order = np.argsort(-big.numpy().ravel(), kind="stable")
    variants = []
    for i in range(steps + 1):
        v = image.copy().ravel()
        v[order[: side * side * i // steps]] = mean_grey(image)
        variants.append(v.reshape(image.shape))
    y = logits_of(model, np.stack(variants))
    return (np.exp(y) / np.exp(y).sum(1, keepdims=True))[:, k]


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
    first = greys(seed, 4, 64)[:2]
    maps = grad_cam(kept[3].detach(), gradients[1])
    out.put("occlusion", [occlusion(model, x, k) for k, x in enumerate(first)])
    out.put("deletion", [deletion(model, x, k, maps[k]) for k, x in enumerate(first)])
