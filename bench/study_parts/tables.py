"""The tables of the study, as text that both Markdown and HTML show."""
from .figures import TARGET
from .systems import STUDY, STUDY_EPOCHS
from .words import ratio, several

DATA = ("Data: what PyTorch and Lamina waited for pictures; of Keras, what remains of an epoch when its steps, timed alone, are taken off. Their data and compute cannot be compared with Keras's, "
        "only whole epochs.")


class Table:
    """Rows of (cells, why): where `why` is set it stands for all cells but the first. `own` marks Lamina's rows. A note stands above them, and what has to be known of some `below`."""

    def __init__(self, title, note, columns):
        self.title, self.note, self.columns, self.rows, self.below = title, note, columns, [], []

    def add(self, row, *cells):
        self.rows.append(([row.name, *cells], None if row else row.why or "not run yet", row.system.ours))


def spread(row, what, scale=1.0, digits=2):
    """"90.47 ± 0.42", or the one value there is."""
    mean, sd = row.mean(what), row.spread(what)
    if mean is None:
        return "–"
    return f"{scale * mean:.{digits}f}" + (f" ± {scale * sd:.{digits}f}" if sd is not None else "")


def percent(v):
    return f"{100 * v:.2f} %"


def said(key, of, show):
    return show(STUDY[key][of]) if key in STUDY else "–"


def seconds(v):
    return "–" if v is None else f"{v:.2f}" if v < 100 else f"{v:.0f}"


def of_them(row):
    """Seconds until TARGET of the seeds that come there, and how many do if not all."""
    reached, seeds = row.reached(), len(row.runs)
    return ", ".join(([spread(row, "to_target", digits=0)] if reached else []) + ([f"{reached} of {several(seeds, 'seed')}"] if reached < seeds else []))


def what_runs(rows):
    """Of originals that run in another way than their name says."""
    return [f"{row.name} is {row.about['how']}." for row in rows if row and row.system.sequential and not row.system.ours and row.about["how"] not in ("", row.name)]


def accuracies(title, rows, f):
    seeds = f"mean ± standard deviation of up to {f.seeds()} seeds" if f.seeds() > 1 else "one seed"
    note = f"On the validation pictures. The study: {STUDY_EPOCHS} epochs. Here: {f.epochs} epochs, {seeds}, the epoch with the best accuracy, its loss, and the last epoch."
    t = Table(title, note,
              ["system", f"study, {STUDY_EPOCHS} epochs: accuracy", "loss", f"here, {f.epochs} epochs: accuracy, %", "loss", "last epoch: accuracy, %", "loss"])
    for row in rows:
        here = [spread(row, "accuracy", 100), spread(row, "loss", 1, 4), spread(row, "last_accuracy", 100), spread(row, "last_loss", 1, 4)]
        t.add(row, said(row.key, 0, percent), said(row.key, 1, lambda v: f"{v:.4f}"), *here)
    t.below = what_runs(rows)
    if any(row.key == "torch" for row in rows) and f.row("torch") and f.row("ours_pytorch"):
        t.below.append("torchvision's RandomAffine fills what lies beyond the border with black, Lamina's recipe pytorch mirrors it "
                       "(0.7 points more in bench/results/leaf_accuracy.md, within the noise of seeds).")
    return t


def table_of_seconds(f):
    note = f"The study: {STUDY_EPOCHS} epochs on its machines. Here: {f.epochs} epochs on this one, training and validation, without the start of the program; the whole process has it."
    t = Table("Table III: seconds", note, ["system", f"study: seconds of {STUDY_EPOCHS} epochs", "of one", f"here: seconds of {f.epochs} epochs", "whole process",
                                           f"until {100 * TARGET:.0f} % validation accuracy"])
    for row in f.rows:
        t.add(row, said(row.key, 2, lambda v: f"{v:.2f}"), said(row.key, 2, lambda v: f"{v / STUDY_EPOCHS:.2f}"), spread(row, "seconds", digits=1), spread(row, "wall", digits=1), of_them(row))
    t.below = what_runs(f.rows)
    if any(row.system.ours for row in f.ran()):
        t.below.append("Lamina reads and decodes its pictures once, before its first epoch, and writes its checkpoint and report between epochs: only the whole process has that. "
                       "The originals read theirs in every epoch.")
    if any(row.key.startswith("keras") for row in f.ran()):
        t.below.append("Keras's whole process has 40 timed steps more.")
    return t


def on_memory(f):
    """What has to be known of the memory of those that have run."""
    said = []
    if any("+cu" in row.about["version"] for row in f.ran()):
        said.append("PyTorch is PyPI's wheel, which brings CUDA along.")
    if any(not row.system.ours for row in f.ran()):
        said.append("The originals have worker processes, which are counted.")
    if f.common["device"] == "cuda":
        said.append("The memory of the GPU is not counted.")
    return said


def table_of_epochs(f):
    note = ("Seconds of the median epoch of a run, in the mean of the seeds; training, data, compute and validation are medians each for itself. "
            "Memory: the peak of all processes of a run together, shared pages counted once.")
    t = Table("An epoch, and memory", note, ["system", "training", "of it data", "compute", "validation", "original takes", "peak MB", "original needs"])
    for row in f.rows:
        original = f.row(row.system.original) if row.system.ours else None
        to_original = lambda what: f"{ratio(original.mean(what) / row.mean(what))} x" if original and row else "–"
        t.add(row, spread(row, "epoch"), *[seconds(row.mean(part)) for part in ("data", "compute", "validation")], to_original("epoch"), spread(row, "peak", digits=0), to_original("peak"))
    t.below = [DATA] + on_memory(f)
    return t


def table_of_replicas(f):
    t = Table("From one to several", "The same cores, divided among the replicas; the speed of one that has them all is 1. The study: by all its seconds. Here: by the median epoch.",
              ["system", "what runs", "study: speed", "here: speed", "accuracy, points"])
    for row in f.rows:
        if not row.system.sequential:
            continue
        alone = f.row(row.system.sequential)
        study = f"{STUDY[row.system.sequential][2] / STUDY[row.key][2]:.2f}" if row.key in STUDY else "–"
        here = (ratio(alone.mean("epoch") / row.mean("epoch")), f"{100 * (row.mean('accuracy') - alone.mean('accuracy')):+.2f}") if row and alone else ("–", "–")
        t.add(row, row.about.get("how", ""), study, *here)
    return t


def tables(f):
    alone, several = [row for row in f.rows if not row.system.sequential], [row for row in f.rows if row.system.sequential]
    all = [accuracies("Table I: one device", alone, f), accuracies("Table II: several", several, f), table_of_seconds(f), table_of_epochs(f), table_of_replicas(f)]
    return [t for t in all if t.rows]


def markdown(table):
    cut = lambda text: text.replace("|", "\\|")
    lines = ["| " + " | ".join(map(cut, table.columns)) + " |", "|---|" + "---:|" * (len(table.columns) - 1)]
    for cells, why, _ in table.rows:
        cells = [cells[0], why] + [""] * (len(table.columns) - 2) if why else cells
        lines.append("| " + " | ".join(map(cut, cells)) + " |")
    return f"## {table.title}\n{table.note}\n\n" + "\n".join(lines) + "\n" + (f"\n{' '.join(table.below)}\n" if table.below else "")
