"""The figures of a study, of one run and over seeds."""
import math, statistics

TARGET = 0.88   # validation accuracy whose time is told
UNEVEN = 1.5    # an epoch of so many medians is told of
# Student's t for 95 % on both sides, by degrees of freedom (of any table).
STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228, 15: 2.131, 20: 2.086, 30: 2.042, 60: 2.000, 120: 1.980}


class OfRun:
    """Of one run. Seconds are those of the training pass with its data and of the validation pass; the start of the process, and what it reads before, stand apart in `wall`.
    What is told of an epoch is the median of all: what holds up a few is in `longest` and in the sum `seconds`."""

    def __init__(self, run):
        epochs = run["epochs"]
        best = max(epochs, key=lambda e: e["val_accuracy"])
        self.accuracy, self.loss, self.best_epoch = best["val_accuracy"], best["val_loss"], best["epoch"]
        self.last_accuracy, self.last_loss = epochs[-1]["val_accuracy"], epochs[-1]["val_loss"]
        self.elapsed, total = [], 0
        for e in epochs:
            total += e["seconds"] + e["validation"]
            self.elapsed.append(total)
        self.seconds, training, waits = total, [e["seconds"] for e in epochs], [e["wait"] for e in epochs]
        self.epoch, self.shortest, self.longest = statistics.median(training), min(training), max(training)
        self.validation = statistics.median(e["validation"] for e in epochs)
        self.data = self.compute = None
        if None not in waits:
            self.data, self.compute = statistics.median(waits), statistics.median(s - w for s, w in zip(training, waits))
        self.to_target = next((t for t, e in zip(self.elapsed, epochs) if e["val_accuracy"] >= TARGET), None)
        self.wall, self.peak, self.others = run["wall"], run["peak_mb"], run["others"]
        self.curve = [e["val_accuracy"] for e in epochs]
        self.about = {field: run.get(field) or "" for field in ("version", "how", "program")}
        self.exact = [(e["loss"], e["accuracy"], e["val_loss"], e["val_accuracy"]) for e in epochs]


class Row:
    """A system with its runs by seed; `why` says why there are none, or not all."""

    def __init__(self, system, runs, why=None):
        self.system, self.key, self.name, self.why = system, system.key, system.name, why
        self.runs = {run["seed"]: OfRun(run) for run in sorted(runs, key=lambda run: run["seed"])}
        self.about = next((run.about for run in self.runs.values()), {})

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

    def reached(self):
        """How many of its seeds came to TARGET."""
        return len(self.values("to_target"))

    def to_target(self):
        """Mean seconds until TARGET, if every seed came there."""
        return self.mean("to_target") if self.runs and self.reached() == len(self.runs) else None

    def uneven(self):
        """(shortest, longest) epoch in seconds, if one took more than UNEVEN medians of its run."""
        runs = self.runs.values()
        return (min(r.shortest for r in runs), max(r.longest for r in runs)) if any(r.longest > UNEVEN * r.epoch for r in runs) else None

    def curve(self):
        """For each epoch: mean seconds since the training began, mean accuracy, the lowest and the highest."""
        runs = list(self.runs.values())
        return [(statistics.fmean(r.elapsed[i] for r in runs), statistics.fmean(at := [r.curve[i] for r in runs]), min(at), max(at)) for i in range(len(runs[0].curve))] if runs else []


class Figures:
    """All rows of a study, with the runs of the seeds 1 ... `wanted`. `common` is what its runs share."""

    def __init__(self, all, runs, why, common, wanted):
        self.common, self.epochs, self.wanted = common, common["epochs"], wanted
        self.rows = [Row(s, [run for (key, seed), run in runs.items() if key == s.key and 1 <= seed <= wanted], why.get(s.key)) for s in all]
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
        """The original that comes to TARGET first, of those that come there with every seed."""
        return min((row for row in self.ran() if not row.system.ours and row.to_target()), key=Row.to_target, default=None)

    def short(self):
        """The rows with fewer runs than seeds."""
        return [row for row in self.rows if len(row.runs) < self.wanted]

    def seeds(self):
        return max((len(row.runs) for row in self.rows), default=0)


def student(degrees):
    """Student's t; between two lines of the table straight over 1 / degrees, which is a little too large."""
    degrees = min(max(degrees, min(STUDENT)), max(STUDENT))
    below, above = max(n for n in STUDENT if n <= degrees), min(n for n in STUDENT if n >= degrees)
    share = (1 / below - 1 / degrees) / (1 / below - 1 / above) if below < above else 0
    return STUDENT[below] + share * (STUDENT[above] - STUDENT[below])


def difference(a, b, what):
    """Difference of two rows' means, and how much chance between seeds makes in 95 of 100 cases, by Welch's test (None: one of the rows has a single seed)."""
    d, spreads, counts = a.mean(what) - b.mean(what), [row.spread(what) for row in (a, b)], [len(row.values(what)) for row in (a, b)]
    if None in spreads:
        return d, None
    variances = [spread**2 / n for spread, n in zip(spreads, counts)]
    if not any(variances):
        return d, 0.0
    degrees = sum(variances)**2 / sum(v**2 / (n - 1) for v, n in zip(variances, counts))
    return d, student(degrees) * math.sqrt(sum(variances))


def same_digits(a, b):
    """Of the seeds that two rows share: (how many, first (seed, epoch) at which losses or accuracies differ, or None)."""
    shared = [seed for seed in a.runs if seed in b.runs]
    for seed in shared:
        for epoch, (x, y) in enumerate(zip(a.runs[seed].exact, b.runs[seed].exact), 1):
            if x != y:
                return len(shared), (seed, epoch)
    return len(shared), None
