"""What a person should conclude, in sentences computed from the figures. None of them is written before the figures are known."""
import math

from . import systems
from .figures import TARGET, UNEVEN, difference, same_digits

WITHIN = 0.015   # of an original's accuracy, what is asked of ours
CROWDED = 0.05   # of the cores, what other programs may take beside a run
PERCENT = f"{100 * TARGET:.0f} % validation accuracy"


def points(v):
    return f"{abs(100 * v):.2f} points"


def several(n, word):
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def listed(parts):
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else "".join(parts)


def apart(d):
    """"2.50 points more"."""
    return f"{points(d)} {'more' if d > 0 else 'less'}" if abs(d) >= 5e-5 else "the same"


def ratio(v, up=False):
    """Rounded down, so that none looks larger than it is, or up where a larger one is worse: from 20 on without decimals, from 2 on with one, and below with two."""
    digits = 0 if v >= 20 else 1 if v >= 2 else 2
    return f"{(math.ceil(v * 10**digits - 1e-9) if up else math.floor(v * 10**digits + 1e-9)) / 10**digits:.{digits}f}"


def times(v, more, less):
    """"3.9 times as fast", or the other way round, which is the worse; None where it is less than 1.1 times either way."""
    return f"{ratio(v)} times {more}" if v >= 1.1 else f"{ratio(1 / v, up=True)} times {less}" if 1 / v >= 1.1 else None


def of_chance(d, noise, a, b):
    """What chance between seeds has to do with a difference of two rows."""
    if abs(d) < 5e-5:
        return ""
    if noise is None:
        return f"; with {several(min(len(a.runs), len(b.runs)), 'seed')} nobody can tell that from chance"
    return f", where seeds alone make up to {points(noise)}" if abs(d) <= noise else f", which is more than seeds alone make ({points(noise)})"


def on_accuracy(ours, original):
    d, noise = difference(ours, original, "accuracy")
    told = f"{100 * ours.mean('accuracy'):.2f} % against {100 * original.mean('accuracy'):.2f} %, {apart(d)}{of_chance(d, noise, ours, original)}."
    if noise is None:
        return f"{ours.name} beside {original.name}: {told}"
    if abs(d) <= noise:
        return f"{ours.name} cannot be told from {original.name} with these seeds: {told}"
    return f"{ours.name} comes to {'a higher' if d > 0 else 'a LOWER'} accuracy than {original.name}: {told}"


def on_all_accuracies(pairs):
    """How many of ours come to what is asked of them, and which do not."""
    below = [(ours, original, d) for ours, original in pairs if (d := difference(ours, original, "accuracy")[0]) < -WITHIN - 1e-9]
    told = f"{len(pairs) - len(below)} of {len(pairs)} of ours are within {100 * WITHIN:g} points of their original's mean, or above it"
    return [told + "".join(f"; {ours.name} is {points(d)} below {original.name}" for ours, original, d in below) + "."] if pairs else []


def on_time(ours, original):
    v = original.mean("epoch") / ours.mean("epoch")
    seconds = f"{ours.mean('epoch'):.2f} s for the median epoch against {original.mean('epoch'):.2f} s, data included"
    how = times(v, "as fast", "SLOWER")
    return f"{ours.name} is {how or 'about as fast'} {'than' if how and v < 1 else 'as'} {original.name}: {seconds}."


def on_memory(ours, original):
    a, b = ours.mean("peak"), original.mean("peak")
    how = times(b / a, "as much", "less")
    if how is None:
        return f"{original.name} needs about as much memory as {ours.name}, {b:.0f} MB and {a:.0f} MB."
    return f"{original.name} needs {how} memory {'as' if b > a else 'than'} {ours.name}: {b:.0f} MB against {a:.0f} MB, all processes of a run together."


def on_first(f):
    """Who comes to TARGET first, and which originals are not asked because some of their seeds do not come there."""
    first, best = f.fastest_original(), min((row for row in f.ran() if row.system.ours and row.system.original and row.to_target()), key=lambda row: row.to_target(), default=None)
    said = [f"{best.name} is there after {best.to_target():.0f} s, the first of ours with an original's recipe"] if best else []
    if first:
        said.append(f"the first of the originals that are there with every seed is {first.name}, after {first.to_target():.0f} s")
    if first and best:
        said[-1] += f", so that Lamina is there {times(first.to_target() / best.to_target(), 'sooner', 'LATER') or 'at about the same time'}"
    some = [row for row in f.ran() if not row.system.ours and 0 < row.reached() < len(row.runs)]
    said += [f"{row.name} is there with {row.reached()} of {several(len(row.runs), 'seed')}, after {row.mean('to_target'):.0f} s in their mean" for row in some]
    return [f"{PERCENT}: " + "; ".join(said) + "."] if said else []


def on_target(f):
    never = [row for row in f.ran() if row.to_target() is None]
    if not never:
        return on_first(f)
    if len(never) == len(f.ran()):
        return on_first(f) + [f"Nothing comes to {PERCENT} with every seed in {several(f.epochs, 'epoch')}."]
    names = listed([row.name + (f" ({row.reached()} of {several(len(row.runs), 'seed')})" if row.reached() else "") for row in never])
    return on_first(f) + [f"These do not come to {PERCENT} with every seed in {several(f.epochs, 'epoch')}: {names}."]


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
        speed, (d, noise) = alone.mean("epoch") / row.mean("epoch"), difference(row, alone, "accuracy")
        said.append(f"{row.name}: {ratio(speed)} times the speed of {alone.name}, {apart(d)} accuracy{of_chance(d, noise, row, alone)}.")
    return said


def crowded(f):
    """(run, share of its cores that other programs took), where that was so much that its times say little."""
    return [(f"{row.name}, seed {seed}", run.others) for row in f.ran() for seed, run in row.runs.items() if run.others > CROWDED]


def beside(f):
    """What other programs took beside the crowded runs, if there are any."""
    most = max((share for _, share in crowded(f)), default=0)
    return [f"Other programs took up to {100 * most:.2g} % of the cores beside a run, which is too much for these times to be trusted."] if most else []


def on_crowded(f):
    runs = [f"{name} ({100 * share:.2g} %)" for name, share in crowded(f)]
    return beside(f) + [f"More than {100 * CROWDED:g} % were taken beside: {'; '.join(runs)}."] if runs else []


def on_unfinished(f):
    """What has fewer runs than seeds, and why."""
    some, none = [row for row in f.short() if row], [row for row in f.rows if not row]
    reason = lambda row: f" ({row.why})" if row.why else ""
    said = []
    if some and len(some) == len(f.ran()) and not any(row.why for row in some) and len({len(row.runs) for row in some}) == 1:
        said.append(f"So far {f.seeds()} of {f.wanted} seeds {'has' if f.seeds() == 1 else 'have'} run.")
    elif some:
        said.append("Not all seeds have run: " + listed([f"{row.name} has {len(row.runs)} of {f.wanted}{reason(row)}" for row in some]) + ".")
    if none:
        said.append("Nothing is said of what has not run: " + listed([row.name + reason(row) for row in none]) + ".")
    return said


def on_uneven(f):
    slow = [f"{row.name} from {row.uneven()[0]:.1f} to {row.uneven()[1]:.1f} s" for row in f.ran() if row.uneven()]
    return [f"The slowest epoch took more than {UNEVEN:g} times the median one of its run with these: {listed(slow)}. Totals and times to {100 * TARGET:.0f} % contain that."] if slow else []


def seeds_of(row, field, value):
    """"Keras with seeds 1 and 3": the runs of a row that have this value; its name alone if all that tell have it."""
    told = {seed: run.about[field] for seed, run in row.runs.items() if run.about[field]}
    seeds = [str(seed) for seed, its in told.items() if its == value]
    return row.name if len(seeds) == len(told) else f"{row.name} with seed{'s' if len(seeds) > 1 else ''} {listed(seeds)}"


def differing(field, what, who, rows):
    """That runs of these rows differ in a field, and which; runs that do not tell say nothing."""
    values = list(dict.fromkeys(run.about[field] for row in rows for run in row.runs.values() if run.about[field]))
    has = lambda row, value: any(run.about[field] == value for run in row.runs.values())
    kinds = [f"{value} is that of {listed([seeds_of(row, field, value) for row in rows if has(row, value)])}" for value in values]
    return [f"Runs of {who} differ in {what}: {'; '.join(kinds)}."] if len(kinds) > 1 else []


def on_unlike(f):
    """Of runs that were not made alike: all of ours have one program, and each original has one."""
    said = differing("program", "their program", "ours", [row for row in f.ran() if row.system.ours])
    for row in f.ran():
        for field, what in (("program", "their program"), ("version", "their versions"), ("how", "what runs")):
            if field != "program" or not row.system.ours:
                said += differing(field, what, row.name, [row])
    return said


def on_trust(f):
    """What speaks against these figures."""
    said = [f"These are runs of {several(f.epochs, 'epoch')}; the study's figures beside them are those of {systems.STUDY_EPOCHS} epochs on other machines. Nothing here is scaled from one to the other: "
            f"compare its systems with each other, and ours with each other."] if f.epochs != systems.STUDY_EPOCHS else []
    if f.seeds() == 1:
        said.append("One seed says nothing of chance" + (": run --seeds 3 for a spread." if f.wanted == 1 else "."))
    return said + on_unfinished(f) + on_unlike(f) + on_uneven(f) + on_crowded(f)


def headline(f):
    """The sequential pairs in a sentence, and whether it is to be trusted."""
    pairs = [(ours, original) for ours, original in f.pairs() if not ours.system.parallel]
    if not pairs:
        return "No original has run beside Lamina yet: there is nothing to compare."
    parts = []
    for ours, original in pairs:
        d, noise = difference(ours, original, "accuracy")
        accuracy = f"Lamina comes to {apart(d)} accuracy" + (", with one seed" if noise is None else "")
        if noise is not None and abs(d) <= noise:
            accuracy = "these seeds cannot tell Lamina's accuracy from its"
        time, memory = original.mean("epoch") / ours.mean("epoch"), original.mean("peak") / ours.mean("peak")
        parts.append(f"{original.name} takes {ratio(time)} times as long for the median epoch as Lamina with its recipe and {ratio(memory)} times as much memory, and {accuracy}")
    return " ".join(["; ".join(parts) + ".", *beside(f)])


def conclusions(f):
    """Sentences by subject: (title, [sentence])."""
    pairs = f.pairs()
    by = [("Accuracy", on_all_accuracies(pairs) + [on_accuracy(*pair) for pair in pairs] + on_exactness(f)), ("Time", [on_time(*pair) for pair in pairs] + on_target(f)),
          ("Memory", [on_memory(*pair) for pair in pairs]), ("From one to several", on_replicas(f)), ("How far to trust this", on_trust(f))]
    return [(title, sentences) for title, sentences in by if sentences]
