"""What every row is measured on: the program, images, weights, models; made here where they are not given."""
import csv
import glob
import json
import os
import subprocess

from rounds import Missing

SIZE = 128


class Setting:
    def __init__(self, a, scratch):
        self.cxr, self.threads, self.quick, self.scratch = a.cxr, a.threads, a.quick, scratch
        self.rounds = a.rounds
        os.environ["XDG_CACHE_HOME"] = self.path("cache")  # kernels are chosen now, not on some busier day
        self.data = a.data or self._phantoms()
        self.phantoms = not a.data
        self.weights = a.weights
        self._model, self._small, self._int8 = a.model, None, None

    def path(self, *names):
        return os.path.join(self.scratch, *names)

    def run(self, *arguments, **options):
        """cxr's standard output. What it refuses, because this build or machine lacks it or a gate is shut, is Missing."""
        done = subprocess.run([self.cxr, *map(str, arguments)], capture_output=True, text=True, **options)
        if done.returncode in (2, 65, 69):
            raise Missing(done.stderr.strip().splitlines()[0].removeprefix("cxr: "))
        if done.returncode != 0:
            raise RuntimeError(f"cxr {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def train(self, data, name, *options):
        """The folder of a run."""
        folder = self.path(name)
        weights = ("--weights", self.weights or "none")
        self.run("train", data, "--recipe", "article", *weights, "--threads", self.threads, "--out", folder, "--quiet", *options)
        return folder

    def _phantoms(self):
        folder = self.path("phantoms")
        self.run("phantom", "--out", folder, "--train", 700, "--val", 24, "--test", 312, "--size", 224)
        return folder

    @property
    def model(self):
        """The article recipe, wholly trained; where there are no weights to start from, an epoch of something that learns."""
        if self._model is None:
            if self.weights:
                options = ("--epochs", 1) if self.quick else ()
            else:
                options = ("--epochs", 1, "--freeze", "none", "--lr", "1e-3")
            run = self.train(self.small if self.quick else self.data, "model", *options)
            self._model = os.path.join(run, "weights", "best.safetensors")
        return self._model

    @property
    def int8_model(self):
        if self._int8 is None:
            path = self.path("int8.safetensors")
            self.run("quantize", "--model", self.model, "--out", path, self.data)
            self._int8 = path
        return self._int8

    def model_for(self, precision):
        return self.int8_model if precision == "int8" else self.model

    @property
    def small(self):
        """A part of the training images, as links; enough for an epoch to be long beside its start."""
        if self._small is None:
            folder = self.path("small")
            for name in os.listdir(os.path.join(self.data, "train")):
                files = sorted(glob.glob(os.path.join(self.data, "train", name, "*")))
                step = max(1, len(files) * 2 // (640 if self.quick else 2560))
                os.makedirs(os.path.join(folder, "train", name))
                for file in files[::step]:
                    os.symlink(os.path.abspath(file), os.path.join(folder, "train", name, os.path.basename(file)))
            self._small = folder
        return self._small

    def test_images(self):
        return sorted(glob.glob(os.path.join(self.data, "test", "*", "*")))

    def bench(self, stage, precision, batch, *options, field="seconds", seconds=0.1):
        """A figure of cxr bench, the median of its five rounds of at least `seconds` each: seconds for a batch."""
        model = () if self._model is None and stage == "step" else ("--model", self.model_for(precision))
        out = self.run("bench", "--stage", stage, "--precision", precision, "--batch-size", batch, "--size", SIZE, "--threads",
                       self.threads, "--seconds", seconds, "--format", "json", "--quiet", *model, *options)
        row = json.loads(out)["rows"][0]
        if row["reason"]:
            raise Missing(row["reason"])
        return row[field]

    def results(self, run):
        with open(os.path.join(run, "results.csv"), newline="") as f:
            return list(csv.DictReader(f))

    def results_of_split(self, run):
        with open(os.path.join(run, "split.csv"), newline="") as f:
            return list(csv.DictReader(f))
