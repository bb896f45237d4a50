"""What a person should conclude, in sentences computed from the figures. None of them is written before the figures are known."""
from . import systems
from .figures import TARGET, difference, same_digits


def points(v):
    return f"{abs(100 * v):.2f} points"


def several(n, word):
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def listed(parts):
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else "".join(parts)


def apart(d):
    """"2.50 points more"."""
    return f"{points(d)} {'more' if d > 0 else 'less'}" if abs(d) >= 5e-5 else "the same"


def times(ratio, more, less):
    """"3.9 times as fast", or the other way round."""
    return f"{ratio:.2g} times {more}" if ratio >= 1.05 else f"{1 / ratio:.2g} times {less}" if ratio <= 0.95 else None


def on_accuracy(ours, original):
    d, noise = difference(ours, original, "accuracy")
    means = f"{100 * ours.mean('accuracy'):.2f} % against {100 * original.mean('accuracy'):.2f} %"
    if noise is None:
        seeds = min(len(ours.runs), len(original.runs))
        return f"{ours.name} comes to {means} of {original.name}, {apart(d)}; with {several(seeds, 'seed')} nobody can tell that from chance."
    if abs(d) <= noise:
        return f"{ours.name} learns as well as {original.name}: {means}, a difference of {points(d)} that so few seeds cannot tell from chance (they could tell {points(noise)})."
    return f"{ours.name} comes to {'a higher' if d > 0 else 'a LOWER'} accuracy than {original.name}: {means}, {points(d)}, which is more than chance between seeds explains ({points(noise)})."


def on_time(ours, original):
    ratio = original.mean("epoch") / ours.mean("epoch")
    seconds = f"{ours.mean('epoch'):.2f} s an epoch against {original.mean('epoch'):.2f} s, data included"
    how = times(ratio, "as fast", "SLOWER")
    return f"{ours.name} is {how or 'as fast'} {'than' if how and ratio < 1 else 'as'} {original.name}: {seconds}."


def on_memory(ours, original):
    a, b = ours.mean("peak"), original.mean("peak")
    how = times(b / a, "as much", "less")
    if how is None:
        return f"{original.name} needs as much memory as {ours.name}, {b:.0f} MB and {a:.0f} MB."
    return f"{original.name} needs {how} memory {'as' if b > a else 'than'} {ours.name}: {b:.0f} MB against {a:.0f} MB, all processes of a run together."


def on_target(f):
    """Of the first to come to TARGET."""
    percent, first = f"{100 * TARGET:.0f} % validation accuracy", f.fastest_original()
    never = [row for row in f.ran() if row.to_target() is None]
    ours = [row for row in f.ran() if row.system.ours and row.system.original and row.to_target()]
    said = []
    if first and ours:
        best = min(ours, key=lambda row: row.to_target())
        how = times(first.to_target() / best.to_target(), "sooner", "LATER")
        said.append(f"{percent} comes after {best.to_target():.0f} s with {best.name}; the first of the originals there is {first.name} with {first.to_target():.0f} s, " +
                    (f"so that Lamina is there {how}." if how else "the same time."))
    elif first:
        said.append(f"The first of the originals at {percent} is {first.name} after {first.to_target():.0f} s.")
    if never and len(never) == len(f.ran()):
        said.append(f"Nothing comes to {percent} with every seed in {several(f.epochs, 'epoch')}.")
    elif never:
        said.append(f"These do not come to {percent} with every seed in {several(f.epochs, 'epoch')}: " + listed([row.name for row in never]) + ".")
    return said


def on_exactness(f):
    said = []
    for row in f.ran():
        if row.system.parallel != "exact" or not (alone := f.row(row.system.sequential)):
            continue
        seeds, parting = same_digits(row, alone)
        if seeds and parting is None:
            said.append(f"{row.name} has the losses and accuracies of {alone.name} to the last digit, in every epoch of {several(seeds, 'seed')}.")
        elif parting:
            said.append(f"{row.name} does NOT have the digits of {alone.name}: they part with seed {parting[0]} in epoch {parting[1]}.")
    return said


def on_replicas(f):
    said = []
    for row in f.ran():
        if not row.system.sequential or not (alone := f.row(row.system.sequential)):
            continue
        speed, d = alone.mean("epoch") / row.mean("epoch"), row.mean("accuracy") - alone.mean("accuracy")
        said.append(f"{row.name}: {speed:.2f} times the speed of {alone.name}, {apart(d)} accuracy.")
    return said


def beside(f):
    """What other programs took, if that was so much that times say little; else nothing."""
    others = max((v for row in f.ran() for v in row.values("others")), default=0)
    return [f"Other programs took up to {100 * others:.0f} % of the processors beside a run, which is too much for these times to be trusted."] if others > 0.05 else []


def on_trust(f):
    """What speaks against these figures."""
    said = [f"These are runs of {several(f.epochs, 'epoch')}; the study's figures beside them are those of {systems.STUDY_EPOCHS} epochs on other machines. Nothing here is scaled from one to the other: "
            f"compare its systems with each other, and ours with each other."] if f.epochs != systems.STUDY_EPOCHS else []
    if f.seeds() == 1:
        said.append("One seed says nothing of chance: run --seeds 3 for a spread.")
    uneven = [row for row in f.rows if row and len(row.runs) < f.seeds()]
    if uneven:
        said.append("Not all seeds have run: " + listed([f"{row.name} has {len(row.runs)} of {f.seeds()}" for row in uneven]) + ".")
    missing = [row for row in f.rows if not row]
    if missing:
        said.append("Nothing is said of what has not run: " + listed([row.name for row in missing]) + ".")
    return said + beside(f)


def headline(f):
    """The sequential pairs in a sentence, and whether it is to be trusted."""
    pairs = [(ours, original) for ours, original in f.pairs() if not ours.system.parallel]
    if not pairs:
        return "No original has run beside Lamina yet: there is nothing to compare."
    parts = []
    for ours, original in pairs:
        d, noise = difference(ours, original, "accuracy")
        accuracy = "the same accuracy as far as these seeds can tell" if noise is not None and abs(d) <= noise else f"{apart(d)} accuracy" + (", with one seed" if noise is None else "")
        time, memory = original.mean("epoch") / ours.mean("epoch"), original.mean("peak") / ours.mean("peak")
        parts.append(f"{original.name} takes {time:.2g} times as long for an epoch as Lamina with its recipe and {memory:.2g} times as much memory, and Lamina comes to {accuracy}")
    return " ".join(["; ".join(parts) + ".", *beside(f)])


def conclusions(f):
    """Sentences by subject: (title, [sentence])."""
    pairs = [pair for pair in f.pairs() if pair[0].system.parallel in (None, "exact")]
    by = [("Accuracy", [on_accuracy(*pair) for pair in pairs] + on_exactness(f)), ("Time", [on_time(*pair) for pair in pairs] + on_target(f)),
          ("Memory", [on_memory(*pair) for pair in pairs]), ("From one to several", on_replicas(f)), ("How far to trust this", on_trust(f))]
    return [(title, sentences) for title, sentences in by if sentences]
