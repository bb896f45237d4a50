"""study.html, study.md and study.csv: three forms of the same figures."""
import csv, io, os, shlex

from . import charts, tables, words
from .charts import escaped
from .figures import TARGET, Figures
from .kept import write_whole
from .systems import BENCH

TEXT = ("system", "what runs")   # columns that are no numbers
STYLE = """
.ours-torch { color: var(--backward); } .ours-keras { color: var(--update); } .own { color: var(--soft); } .torch { color: var(--wait); } .keras { color: var(--check); }
.curve.several { stroke-dasharray: 5 4; stroke-width: 1.6; }
.curve.loose { stroke-dasharray: 1 4; stroke-width: 2; }
.band { fill: currentColor; opacity: 0.13; stroke: none; }
.verdict { margin: 1.5rem 0 0; font-size: 1.125rem; max-width: 52rem; }
.says { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1.5rem 2.5rem; }
.says h3 { margin: 0 0 0.375rem; font-size: 0.9375rem; font-weight: 600; }
.says ul { margin: 0; padding-left: 1.125rem; font-size: 0.9375rem; }
.says li { margin-bottom: 0.5rem; }
.list tbody tr.ours th { color: var(--blue); font-weight: 600; }
.list tbody th { min-width: 9rem; white-space: normal; }
.list thead th { white-space: normal; min-width: 4.5rem; }
.list td.why { text-align: left; color: var(--soft); white-space: normal; }
.list td.text { text-align: left; white-space: normal; min-width: 12rem; }
.bars .row { display: grid; grid-template-columns: 14rem 1fr; gap: 0.75rem; align-items: center; padding: 0.1875rem 0; font-size: 0.875rem; line-height: 1.25; }
.bars .ours .who { color: var(--blue); font-weight: 600; }
.bars .lane { display: flex; align-items: center; gap: 0.5rem; min-width: 0; }
.bars .pieces { display: flex; flex: 1 1 auto; height: 1rem; min-width: 0; }
.bars .pieces i { display: block; min-width: 1px; }
.bars .sum { flex: 0 0 5.5rem; color: var(--soft); font-variant-numeric: tabular-nums; white-space: nowrap; text-align: right; }
i.data { background: var(--wait); } i.compute { background: var(--backward); } i.check { background: var(--check); } i.memory { background: var(--forward); }
.bar.data { fill: var(--wait); } .bar.compute { fill: var(--backward); } .bar.check { fill: var(--check); }
.charts + .charts { margin-top: 2.25rem; }
.scroll + .note, .bars .note { margin: 0.75rem 0 0; }
@media (max-width: 40rem) { .bars .row { grid-template-columns: 1fr; gap: 0; } .verdict { font-size: 1rem; } .list tbody th { min-width: 7.5rem; } }
"""


def style():
    """The style sheet of the trainer's report, and what this page adds."""
    with open(os.path.join(BENCH, "../include/lamina/io/report_style.hpp"), encoding="utf-8") as header:
        return header.read().partition('R"css(')[2].partition(')css"')[0] + STYLE


def element(tag, style_class, inside, more=""):
    return f"<{tag}" + (f' class="{style_class}"' if style_class else "") + more + f">{inside}</{tag}>"


def section(title, inside):
    return element("section", "", element("h2", "", escaped(title)) + "\n" + inside) + "\n"


def html_table(table):
    head = "".join(element("th", "left" if c in TEXT else "", escaped(c), ' scope="col"') for k, c in enumerate(table.columns))
    body = ""
    for cells, why, ours in table.rows:
        if why:
            rest = element("td", "why", escaped(why), f' colspan="{len(table.columns) - 1}"')
        else:
            rest = "".join(element("td", "text" if table.columns[k] in TEXT else "", escaped(c)) for k, c in enumerate(cells[1:], 1))
        body += element("tr", "ours" if ours else "", element("th", "", escaped(cells[0]), ' scope="row"') + rest) + "\n"
    whole = element("table", "list fill", element("thead", "", element("tr", "", head)) + element("tbody", "", "\n" + body))
    below = "\n" + element("p", "note", escaped(" ".join(table.below))) if table.below else ""
    return section(table.title, element("p", "note", escaped(table.note)) + "\n" + element("div", "scroll", whole, ' tabindex="0"') + below)


def drawings(f):
    ran = f.ran()
    alone, several = [row for row in ran if not row.system.sequential], [row for row in ran if row.system.sequential]
    longest = lambda rows: max(point[0] for row in rows for point in row.curve())
    by_epoch, by_seconds = lambda i, seconds: i + 1, lambda i, seconds: seconds
    pictures = []
    for title, rows in [(title, rows) for title, rows in (("one device", alone), ("several", several)) if rows]:
        over_seconds = charts.accuracy_chart(f"Validation accuracy over seconds, {title}", "seconds of training and validation", rows, by_seconds, charts.Axis(0, longest(rows), 8))
        over_epochs = charts.accuracy_chart(f"The same over epochs, {title}", "epoch", rows, by_epoch, charts.Axis(1 if f.epochs > 1 else 0, f.epochs, 8, 1.0))
        pictures.append(element("div", "charts", "\n" + over_seconds + over_epochs))
    compute = lambda row: row.mean("compute") if row.mean("data") is not None else row.mean("epoch")
    split = [("data", "data", lambda row: row.mean("data")), ("compute", "compute", compute), ("validation", "check", lambda row: row.mean("validation"))]
    memory = charts.bars("Peak memory of all processes", "MB", ran, [("memory", "memory", lambda row: row.mean("peak"))], 0)
    pictures.append(element("div", "charts", "\n" + charts.bars("Seconds of the median epoch", "s", ran, split, 2, tables.DATA) + memory))
    return section("Curves", "\n".join(pictures)) if ran else ""


def facts(f):
    """The figures that people look for first."""
    found = []
    for ours, original in f.pairs():
        if not ours.system.parallel:
            found.append((original.mean("epoch") / ours.mean("epoch"), f"{original.name}'s median epoch to Lamina's"))
            found.append((original.mean("peak") / ours.mean("peak"), f"{original.name}'s memory to Lamina's"))
    return "".join(element("div", "", element("dt", "", escaped(what)) + element("dd", "", f"{words.ratio(value)} ×")) for value, what in found)


def machine(f):
    versions = sorted({run.about["version"] for row in f.ran() for run in row.runs.values() if run.about["version"]})
    c = f.common
    return f"{c['cpu']}; every run has {c['threads']} of the cores. {c['data']}, {c['size']} x {c['size']}; batch {c['batch']}; device {c['device']}." + (f" {', '.join(versions)}." if versions else "")


def command(o):
    words_of = ["bench/study", o.data, *(word for name in ("size", "epochs", "seeds", "batch", "threads", "device", "out") for word in ("--" + name, getattr(o, name)))]
    return shlex.join(map(str, words_of + [word for name in o.only or [] for word in ("--only", name)]))


def state(f, o):
    done, wanted = sum(len(row.runs) for row in f.rows), o.seeds * len(f.rows)
    return f"{done} of {wanted} runs of {f.epochs} epochs, {words.several(o.seeds, 'seed')}, {words.several(len(f.rows), 'system')}"


def html_page(f, o):
    listed = lambda sentences: element("ul", "", "".join(element("li", "", escaped(s)) for s in sentences))
    says = "".join(element("div", "", element("h3", "", escaped(title)) + listed(sentences)) for title, sentences in words.conclusions(f))
    big = facts(f)
    head = element("h1", "", "The study again") + element("p", "state", escaped(state(f, o))) + element("p", "verdict", escaped(words.headline(f))) + element("code", "command", escaped(command(o)))
    before, behind = [], []                                     # the curves: the study's own tables, and ours
    for t in tables.tables(f):
        (before if t.title.startswith("Table") else behind).append(html_table(t))
    body = [element("header", "", head + (element("dl", "facts", big) if big else "")), section("What these figures say", element("div", "says", says)), *before, drawings(f), *behind,
            element("footer", "", escaped(machine(f)))]
    top = '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>The study again</title>\n'
    return top + element("style", "", style()) + "\n</head>\n<body>\n" + element("main", "", "\n" + "\n".join(body)) + "\n</body>\n</html>\n"


def markdown_page(f, o):
    says = "".join(f"\n**{title}**\n\n" + "".join(f"- {s}\n" for s in sentences) for title, sentences in words.conclusions(f))
    head = f"# The study again\n{state(f, o)}.\n\n{words.headline(f)}\n\n```\n{command(o)}\n```\n\n## What these figures say\n{says}\n"
    return head + "\n".join(map(tables.markdown, tables.tables(f))) + f"\n{machine(f)}\n"


def csv_page(f):
    """A line for each run, and one for each system that has fewer than seeds."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    names = ["accuracy", "loss", "best_epoch", "last_accuracy", "last_loss", "seconds", "epoch", "shortest", "longest", "data", "compute", "validation", "to_target", "wall", "peak", "others"]
    titles = ["best_accuracy", "best_loss", "best_epoch", "last_accuracy", "last_loss", "seconds", "median_epoch_seconds", "shortest_epoch_seconds", "longest_epoch_seconds",
              "median_data_seconds", "median_compute_seconds", "median_validation_seconds", f"seconds_to_{100 * TARGET:.0f}_percent", "process_seconds", "peak_mb", "others"]
    out.writerow(["system", "version", "how", "seed", "epochs", *titles, "why"])
    for row in f.rows:
        for seed, run in row.runs.items():
            figures = ["" if (v := getattr(run, name)) is None else v if isinstance(v, int) else f"{v:.6g}" for name in names]
            out.writerow([row.name, run.about["version"], run.about["how"], seed, f.epochs, *figures, ""])
        if row in f.short():
            out.writerow([row.name, "", "", "", "", *[""] * len(names), row.why or "not run yet"])
    return text.getvalue()


def write(folder, all, kept, why, o):
    f = Figures(all, kept.runs, why, kept.common, o.seeds)
    for name, text in (("study.html", html_page(f, o)), ("study.md", markdown_page(f, o)), ("study.csv", csv_page(f))):
        write_whole(os.path.join(folder, name), text)
