"""Contenders measured in turn, and what is kept of a row: every figure is one where less is better (seconds, MiB)."""
import json
import os
import statistics
import time


class Missing(Exception):
    """What was to be measured is not there; the text says why."""


def interleave(contenders, rounds):
    """One measurement of each contender in turn, `rounds` times: {name: [figure of each round]}."""
    figures = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, measure in contenders.items():
            figures[name].append(measure())
    return figures


def timed(run, least=0.5):
    """Mean seconds of run(), over at least `least` seconds, after a run that does not count."""
    run()
    runs, start = 0, time.perf_counter()
    while True:
        run()
        runs += 1
        seconds = time.perf_counter() - start
        if seconds >= least:
            return seconds / runs


def fastest(contenders, tolerance=1.15):
    """The contenders that one measurement of each leaves in the race."""
    first = {name: measure() for name, measure in contenders.items()}
    limit = tolerance * min(first.values())
    return {name: contenders[name] for name in contenders if first[name] <= limit}


class Row:
    """ours and peers: figures by round. goal: the least ratio of the best peer's figure to ours. scale and unit: how a figure
    is shown; `per`: it is shown as that many over the figure."""

    def __init__(self, key, work, against, goal=None, most=None, unit="ms", scale=1e3, per=None):
        self.key, self.work, self.against, self.goal, self.most = key, work, against, goal, most
        self.unit, self.scale, self.per = unit, scale, per
        self.ours, self.peers, self.information = [], {}, {}
        self.limit, self.equality, self.notes, self.missing = [], "", [], ""

    def take(self, figures, name="cxr"):
        self.ours = figures.pop(name)
        self.peers = figures
        return self

    def best(self):
        return min(self.peers, key=lambda name: statistics.median(self.peers[name]))

    def ratios(self):
        """By round, against the peer that is best over all rounds."""
        return [theirs / ours for theirs, ours in zip(self.peers[self.best()], self.ours)]

    def shares(self):
        """Of the speed that the convolutions alone reach in the same process."""
        return self.limit

    def show(self, figures):
        value = statistics.median(figures)
        value = self.per / value if self.per else self.scale * value
        return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"

    def save(self, folder, stamp):
        with open(os.path.join(folder, self.key + ".json"), "w") as f:
            json.dump({**self.__dict__, "stamp": stamp}, f, indent=1)

    @staticmethod
    def forget(folder, key):
        path = os.path.join(folder, key + ".json")
        if os.path.exists(path):
            os.remove(path)

    @staticmethod
    def load(folder, key):
        path = os.path.join(folder, key + ".json")
        if not os.path.exists(path):
            return None
        with open(path) as f:
            kept = json.load(f)
        row = Row(kept["key"], kept["work"], kept["against"])
        row.__dict__.update(kept)
        return row
