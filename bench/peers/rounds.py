"""Contenders measured in turn, and what is kept of a row: every figure is one where less is better (seconds, MiB)."""
import json
import os
import statistics
import time
import traceback


class Missing(Exception):
    """What was to be measured is not there; the text says why."""


class Measurement:
    """fill(*rows) gives figures to its rows, in one run."""

    def __init__(self, name, rows, fill):
        self.name, self.rows, self.fill = name, rows, fill

    def run(self, folder, stamp):
        """Why the rows could not be filled, or nothing: what stops one measurement does not stop the others."""
        why = ""
        try:
            self.fill(*self.rows)
        except Missing as reason:
            why = str(reason)
        except Exception as reason:
            traceback.print_exc()
            why = "failed: " + (str(reason).splitlines() or [type(reason).__name__])[0]
        for row in self.rows:
            row.missing = why
            row.save(folder, f"{stamp}, load {os.getloadavg()[0]:.1f}")
        return why


def interleave(contenders, rounds):
    """One measurement of each contender in turn, `rounds` times: {name: [figure of each round]}."""
    figures = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, measure in contenders.items():
            figures[name].append(measure())
    return figures


def timed(run, least=0.5):
    """Median seconds of run(), over at least `least` seconds, after a run that does not count. cxr bench, too, gives medians."""
    run()
    runs, end = [], time.perf_counter() + least
    while not runs or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        runs.append(time.perf_counter() - start)
    return statistics.median(runs)


def fastest(contenders, tolerance=1.08):
    """The contenders that one measurement of each leaves in the race."""
    first = {name: measure() for name, measure in contenders.items()}
    limit = tolerance * min(first.values())
    return {name: contenders[name] for name in contenders if first[name] <= limit}


class Row:
    """ours and peers: figures by round. goal: the least ratio of the best peer's figure to ours; most: our largest figure;
    least_share: of the limit. scale and unit: how a figure is shown; `per`: it is shown as that many over the figure."""

    def __init__(self, key, work, against, goal=None, most=None, unit="ms", scale=1e3, per=None, least_share=None):
        self.key, self.work, self.against, self.goal, self.most = key, work, against, goal, most
        self.unit, self.scale, self.per, self.least_share = unit, scale, per, least_share
        self.ours, self.peers, self.information = [], {}, {}
        self.limit, self.equality, self.notes, self.missing = [], None, [], "not measured"

    def take(self, figures, name="cxr"):
        self.ours = figures[name]
        self.peers = {peer: figures[peer] for peer in figures if peer != name}

    def best(self):
        return min(self.peers, key=lambda name: statistics.median(self.peers[name]))

    def ratios(self):
        """By round, against the peer that is best over all rounds."""
        return [theirs / ours for theirs, ours in zip(self.peers[self.best()], self.ours)]

    def show(self, figures):
        value = statistics.median(figures)
        value = self.per / value if self.per else self.scale * value
        return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"

    def save(self, folder, stamp):
        with open(os.path.join(folder, self.key + ".json"), "w") as f:
            json.dump({**self.__dict__, "stamp": stamp}, f, indent=1)

    def recall(self, folder):
        """Becomes what an earlier run kept of it, if there is one."""
        path = os.path.join(folder, self.key + ".json")
        if os.path.exists(path):
            with open(path) as f:
                self.__dict__.update(json.load(f))
