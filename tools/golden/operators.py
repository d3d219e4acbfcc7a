"""ops.txt: every operator alone, PyTorch in float64, over shapes with odd sizes, strides and paddings.

For case i of operator OP: "OP.i.shape" (the integers that build it), then outputs "OP.i.y" and gradients "OP.i.dx", "OP.i.dw",
... for dy. Inputs are keyed(SEED, slot of the case): x, w, b, dy, x2 = 16 * i + 1 .. 5, uniform in -1..1 unless said.
"""
import numpy as np
import torch
import torch.nn.functional as F

from fixture import dropout_scale, fill, keyed, pixels

X, W, B, DY, X2 = range(1, 6)


class Case:
    """One case's inputs, and a place for its outputs."""

    def __init__(self, out, seed, op, i, shape):
        self.out, self.seed, self.i, self.name = out, seed, i, f"{op}.{i}"
        out.put(self.name + ".shape", shape)

    def make(self, slot, shape, low=-1.0, high=1.0):
        return torch.tensor(fill(keyed(self.seed, 16 * self.i + slot), shape, low, high), requires_grad=True)

    def backward(self, y, **inputs):
        """Stores y and the gradient of each input, for the case's dy."""
        y.backward(self.make(DY, y.shape).detach())
        self.out.put(self.name + ".y", y.detach())
        for name, x in inputs.items():
            self.out.put(f"{self.name}.{name}", x.grad)


def conv(out, seed):
    shapes = [(2, 3, 9, 7, 4, 3, 1, 1), (1, 2, 11, 10, 3, 7, 2, 3), (2, 4, 8, 5, 5, 1, 2, 0), (1, 3, 7, 7, 2, 3, 2, 1),
              (2, 2, 5, 6, 3, 3, 1, 0), (1, 1, 2, 2, 2, 7, 2, 3)]  # fmt: skip
    for i, (n, c, h, w, o, k, s, p) in enumerate(shapes):
        case = Case(out, seed, "conv", i, shapes[i])
        x, weight = case.make(X, (n, c, h, w)), case.make(W, (o, c, k, k))
        case.backward(F.conv2d(x, weight, stride=s, padding=p), dx=x, dw=weight)


def maxpool(out, seed):
    """x takes only the values 0..3, so that most windows hold equal maxima."""
    shapes = [(2, 3, 9, 7, 3, 2, 1), (1, 2, 8, 8, 2, 2, 0), (1, 2, 5, 6, 3, 1, 1), (1, 1, 3, 3, 3, 3, 0)]
    for i, (n, c, h, w, k, s, p) in enumerate(shapes):
        case = Case(out, seed, "maxpool", i, shapes[i])
        x = torch.floor(case.make(X, (n, c, h, w), 0.0, 4.0).detach()).requires_grad_()
        case.backward(F.max_pool2d(x, k, s, p), dx=x)


def batchnorm(out, seed):
    shapes = [(2, 3, 5, 4), (8, 5, 1, 1), (2, 2, 1, 1), (1, 4, 3, 3)]
    for i, (n, c, h, w) in enumerate(shapes):
        case = Case(out, seed, "batchnorm", i, shapes[i])
        x, gamma, beta = case.make(X, (n, c, h, w), -1.0, 2.0), case.make(W, c), case.make(B, c)
        mean, var = case.make(X2, c).detach(), case.make(X2, c, 0.5, 1.5).detach()
        out.put(case.name + ".infer", F.batch_norm(x, mean, var, gamma, beta, False, 0.1, 1e-5).detach())
        y = F.batch_norm(x, mean, var, gamma, beta, True, 0.1, 1e-5)
        case.backward(y, dx=x, dgamma=gamma, dbeta=beta)
        out.put(case.name + ".mean", mean)
        out.put(case.name + ".var", var)


def vectors(out, seed):
    """Element-wise operators, pools over planes and linear layers."""
    shapes = [(2, 3, 5, 4), (3, 7, 1, 1), (1, 2, 9, 9)]
    for i, (n, c, h, w) in enumerate(shapes):
        shape = (n, c, h, w)
        relu = Case(out, seed, "relu", i, shape)
        x = relu.make(X, shape)
        relu.backward(F.relu(x), dx=x)
        avgpool = Case(out, seed, "avgpool", i, shape)
        x = avgpool.make(X, shape)
        avgpool.backward(F.adaptive_avg_pool2d(x, 1), dx=x)
        logsoftmax = Case(out, seed, "logsoftmax", i, shape)
        x = logsoftmax.make(X, shape, -30.0, 30.0)
        logsoftmax.backward(F.log_softmax(x, 1), dx=x)
        dropout = Case(out, seed, "dropout", i, shape)
        x = dropout.make(X, shape)
        rate = (0.5, 0.25, 0.0)[i]
        scale = dropout_scale(keyed(seed, 16 * i + X2), 40 + i, shape, rate)
        dropout.backward(x * torch.tensor(scale), dx=x)
        normalize = Case(out, seed, "normalize", i, (n, 1, h, w))
        grey = torch.tensor(pixels(keyed(seed, 16 * i + X), (n, 1, h, w))).expand(n, 3, h, w)
        mean, std = (torch.tensor(np.float32(v).astype(np.float64)).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
        out.put(normalize.name + ".y", (grey / 255 - mean) / std)
    for i, (n, a, b) in enumerate([(2, 7, 3), (1, 5, 1), (4, 33, 6)]):
        linear = Case(out, seed, "linear", i, (n, a, b))
        x, weight, bias = linear.make(X, (n, a)), linear.make(W, (b, a)), linear.make(B, b)
        linear.backward(F.linear(x, weight, bias), dx=x, dw=weight, db=bias)


def write(out, seed):
    for part in (conv, maxpool, batchnorm, vectors):
        part(out, seed)
