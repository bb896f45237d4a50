"""The figures of a study, of one run and over seeds."""
import math, statistics

TARGET = 0.88   # validation accuracy whose time is told


class OfRun:
    """Of one run. Seconds are those of the training pass with its data and of the validation pass; the start of the process, and what it reads before, stand apart in `wall`."""

    def __init__(self, run):
        epochs = run["epochs"]
        best = max(epochs, key=lambda e: e["val_accuracy"])
        self.accuracy, self.loss, self.best_epoch = best["val_accuracy"], best["val_loss"], best["epoch"]
        self.last_accuracy, self.last_loss = epochs[-1]["val_accuracy"], epochs[-1]["val_loss"]
        self.elapsed, total = [], 0
        for e in epochs:
            total += e["seconds"] + e["validation"]
            self.elapsed.append(total)
        self.seconds, n = total, len(epochs)
        self.epoch = sum(e["seconds"] for e in epochs) / n
        self.validation = sum(e["validation"] for e in epochs) / n
        waits = [e["wait"] for e in epochs]
        self.data = sum(waits) / n if None not in waits else None
        self.compute = self.epoch - self.data if self.data is not None else None
        self.to_target = next((t for t, e in zip(self.elapsed, epochs) if e["val_accuracy"] >= TARGET), None)
        self.wall, self.peak, self.others = run["wall"], run["peak_mb"], run["others"]
        self.curve = [e["val_accuracy"] for e in epochs]
        self.exact = [(e["loss"], e["accuracy"], e["val_loss"], e["val_accuracy"]) for e in epochs]


class Row:
    """A system with its runs by seed; `why` says why there are none, or not all."""

    def __init__(self, system, runs, why=None):
        self.system, self.key, self.name, self.why = system, system.key, system.name, why
        self.runs = {run["seed"]: OfRun(run) for run in sorted(runs, key=lambda run: run["seed"])}
        self.about = runs[0] if runs else {}

    def __bool__(self):
        return bool(self.runs)

    def values(self, what):
        """Of all seeds; those that have none are left out."""
        return [v for run in self.runs.values() if (v := getattr(run, what)) is not None]

    def mean(self, what):
        values = self.values(what)
        return statistics.fmean(values) if values else None

    def spread(self, what):
        """Standard deviation over seeds, or None of a single one."""
        values = self.values(what)
        return statistics.stdev(values) if len(values) > 1 else None

    def to_target(self):
        """Mean seconds until TARGET, if every seed came there."""
        return self.mean("to_target") if self.runs and len(self.values("to_target")) == len(self.runs) else None

    def curve(self):
        """For each epoch: mean seconds since the training began, mean accuracy, the lowest and the highest."""
        runs = list(self.runs.values())
        return [(statistics.fmean(r.elapsed[i] for r in runs), statistics.fmean(at := [r.curve[i] for r in runs]), min(at), max(at)) for i in range(len(runs[0].curve))] if runs else []


class Figures:
    """All rows of a study. `common` is what its runs share."""

    def __init__(self, all, runs, why, common):
        self.common, self.epochs = common, common["epochs"]
        self.rows = [Row(s, [run for (key, _), run in runs.items() if key == s.key], why.get(s.key)) for s in all]
        self.by_key = {row.key: row for row in self.rows}

    def row(self, key):
        """The row of that key if it has run, or None."""
        found = self.by_key.get(key)
        return found if found else None

    def ran(self):
        return [row for row in self.rows if row]

    def pairs(self):
        """(ours, its original), where both have run."""
        return [(row, original) for row in self.rows if row and row.system.ours and (original := self.row(row.system.original))]

    def fastest_original(self):
        """The original that comes to TARGET first."""
        return min((row for row in self.ran() if not row.system.ours and row.to_target()), key=Row.to_target, default=None)

    def seeds(self):
        return max((len(row.runs) for row in self.rows), default=0)


def difference(a, b, what):
    """Difference of two rows' means, and twice its standard error (None: one of them has a single seed)."""
    d, parts = a.mean(what) - b.mean(what), [(row.spread(what), len(row.values(what))) for row in (a, b)]
    if any(spread is None for spread, _ in parts):
        return d, None
    return d, 2 * math.sqrt(sum(spread**2 / n for spread, n in parts))


def same_digits(a, b):
    """Of the seeds that two rows share: (how many, first (seed, epoch) at which losses or accuracies differ, or None)."""
    shared = [seed for seed in a.runs if seed in b.runs]
    for seed in shared:
        for epoch, (x, y) in enumerate(zip(a.runs[seed].exact, b.runs[seed].exact), 1):
            if x != y:
                return len(shared), (seed, epoch)
    return len(shared), None
