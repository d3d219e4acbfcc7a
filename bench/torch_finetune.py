#!/usr/bin/env python3
"""The recipe finetune in PyTorch, on the split that cxr wrote: what bench/recipes.py times cxr beside. Prints one JSON line.

Usage: torch_finetune.py --data FOLDER --split SPLIT.csv --weights FILE [--epochs 2] [--bf16] [--workers 0] [--threads 2]

Channels-last, eager; bf16 by autocast. FILE is a .pth or .safetensors with torchvision's names; tensors that it lacks start random.
The average of the weights is kept after every step, as the recipe says. Seconds are those of the last epoch, validation included.
"""
import argparse
import json
import time

import torch
import torchvision.transforms as T
from torch import nn
from torchvision.models import resnet18

from torch_article import NORMALIZE, PLAIN, Images

SIZE, LR, DECAY, SMOOTHING, EMA, MIXUP = 128, 5e-4, 0.05, 0.05, 0.99, 0.2
AUGMENT = T.Compose([T.RandomResizedCrop(SIZE, (0.2, 1.0)), T.RandomHorizontalFlip(), T.RandomRotation(10),
                     T.ColorJitter(0.3, 0.3), T.ToTensor(), NORMALIZE])


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--data", "--split", "--weights"):
        p.add_argument(name, required=True)
    p.add_argument("--epochs", type=int, default=2)
    p.add_argument("--bf16", action="store_true")
    p.add_argument("--workers", type=int, default=0)
    p.add_argument("--threads", type=int, default=2)
    return p.parse_args()


def network(path):
    model = resnet18()
    if path.endswith(".safetensors"):
        from safetensors.torch import load_file

        state = load_file(path)
    else:
        state = torch.load(path, weights_only=True)
    model.load_state_dict({k: v for k, v in state.items() if not k.startswith("fc.")}, strict=False)
    model.fc = nn.Linear(512, 2)
    return model.to(memory_format=torch.channels_last)


def loss_of(images):
    counts = [sum(label == c for _, label in images.rows) for c in images.classes]
    return nn.CrossEntropyLoss(torch.tensor([len(images.rows) / len(counts) / n for n in counts]), label_smoothing=SMOOTHING)


def optimizer_of(model):
    plain = [p for p in model.parameters() if p.ndim < 2]
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    return torch.optim.AdamW([{"params": decayed}, {"params": plain, "weight_decay": 0}], lr=LR, weight_decay=DECAY)


def run(a, train, val):
    model = network(a.weights)
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(EMA), use_buffers=True)
    optimizer, loss = optimizer_of(model), loss_of(train.dataset)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=a.epochs * len(train))
    blend = torch.distributions.Beta(MIXUP, MIXUP)
    cast = torch.autocast("cpu", torch.bfloat16, enabled=a.bf16)
    for _ in range(a.epochs):
        start = time.monotonic()
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            share, other = float(blend.sample()), torch.randperm(len(x))
            with cast:
                logits = model((share * x + (1 - share) * x[other]).to(memory_format=torch.channels_last))
                out = share * loss(logits, y) + (1 - share) * loss(logits, y[other])
            out.backward()
            optimizer.step()
            schedule.step()
            average.update_parameters(model)
        trained = time.monotonic()
        average.eval()
        with torch.no_grad(), cast:
            for x, _ in val:
                average(x.to(memory_format=torch.channels_last))
    return time.monotonic() - start, trained - start


def main():
    a = arguments()
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    train, val = (torch.utils.data.DataLoader(Images(a, split, transform), 64, shuffle=split == "train", drop_last=False,
                                              num_workers=a.workers) for split, transform in (("train", AUGMENT), ("val", PLAIN)))
    seconds, training = run(a, train, val)
    print(json.dumps({"seconds": seconds, "images_per_second": len(train.dataset) / training, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
