#!/usr/bin/env python3
"""Writes the golden fixtures that come from PyTorch: tests/fixtures/{graph,ops,network,optim,
schedules,averages,losses,stages,explain}.txt.

Usage: make_golden.py [FOLDER]      (needs torch, torchvision, numpy; any machine gives the same files to the last few digits)

The layout of each file is told at the top of its module in tools/golden/. All is computed in float64
from float32 inputs, so that a difference is the tested program's rounding, not PyTorch's. Nothing but answers is stored: inputs
and weights come from the keyed generator (tools/golden/keyed_rng.py), the same in C and Python.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "golden"))

import numpy
import torch
import torchvision

import explain
import graphs
import network
import operators
import training
from fixture import Fixture

SEED = 20240607


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "..", "tests", "fixtures")
    versions = [f"{m.__name__} {m.__version__}" for m in (torch, torchvision, numpy)]
    torch.use_deterministic_algorithms(True)
    files = {
        "graph": graphs.write,
        "ops": operators.write,
        "network": network.write_network,
        "optim": network.write_optim,
        "schedules": training.write_schedules,
        "averages": training.write_averages,
        "losses": training.write_losses,
        "stages": training.write_stages,
        "explain": explain.write,
    }
    for name, write in files.items():
        out = Fixture(SEED, versions)
        write(out, SEED)
        out.write(folder, name + ".txt")


main()
