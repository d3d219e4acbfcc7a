"""One prediction by a PyTorch script, as one writes it: torch_predict.py MODEL.safetensors IMAGE"""
import sys

import network
import torch

model = network.load(sys.argv[1])
with torch.no_grad():
    print(model(torch.from_numpy(network.images(sys.argv[2:], 128))).exp().tolist())
