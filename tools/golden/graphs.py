"""graph.txt: what torchvision's networks are made of. For A in resnet18, resnet34, with the head 256,128 on two classes:

  A.param.NAME            shape of each tensor of the state dict, num_batches_tracked left out
  A.params, A.learnable   how many tensors; how many numbers the optimiser may change, backbone without head
  A.SIZE.shape.MODULE     (channels, height, width) that a module gives for images of SIZE x SIZE; vectors have 1, 1
  A.SIZE.shapes           how many of those
  A.SIZE.gflop            2 x multiply-adds of the backbone's convolutions / 1e9, as torch.utils.flop_counter counts
  init.conv1.weight       the first 8 numbers of He's start (fan out) drawn with the keyed normal generator, seed 1
"""
import numpy as np
import torch
import torchvision
from torch.utils.flop_counter import FlopCounterMode

import keyed_rng as rng
import network


def put_shapes(out, model, prefix, size):
    hooks = []
    for name, module in model.named_modules():
        if name in ("", "fc") or (name.startswith("layer") and "." not in name) or name.endswith(("relu", "downsample")):
            continue
        def put(m, i, o, name=name):
            out.put(f"{prefix}.{size}.shape.{name}", (list(o.shape[1:]) + [1, 1])[:3])
        hooks.append(module.register_forward_hook(put))
    model(torch.zeros(1, 3, size, size, device="meta"))
    for h in hooks:
        h.remove()
    out.put(f"{prefix}.{size}.shapes", len(hooks))


def write(out, seed):
    for arch in ("resnet18", "resnet34"):
        with torch.device("meta"):
            model = getattr(torchvision.models, arch)(weights=None).eval()
            out.put(arch + ".learnable", sum(p.numel() for n, p in model.named_parameters() if not n.startswith("fc.")))
            model.fc = network.head(0, 512, (256, 128), 0.5, 2).eval()
        state = {n: t for n, t in model.state_dict().items() if not n.endswith("num_batches_tracked")}
        out.put(arch + ".params", len(state))
        for name, tensor in state.items():
            out.put(f"{arch}.param.{name}", tensor.shape)
        for size in (97, 128, 224):
            put_shapes(out, model, arch, size)
            with FlopCounterMode(display=False) as counter:
                model(torch.zeros(1, 3, size, size, device="meta"))
            convolutions = counter.get_flop_counts()["Global"][torch.ops.aten.convolution]
            out.put(f"{arch}.{size}.gflop", convolutions / 1e9)
    key = rng.key(1, rng.INIT, 0, rng.name_number("conv1.weight"))
    out.put("init.conv1.weight", np.sqrt(2.0 / (64 * 7 * 7)) * rng.normal(key, 8))
