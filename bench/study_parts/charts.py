"""Charts as SVG, drawn like those of the trainer's own report (include/lamina/io/report_charts.hpp), whose style sheet colours them."""
import html, math

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 520, 300, 52, 14, 14, 42


def escaped(text):
    return html.escape(str(text), quote=True)


def nice_step(span, parts):
    """The smallest of 1, 2, 5, 10 ... (times any power of ten) that cuts `span` into at most `parts`."""
    least = span / parts
    power = 10 ** math.floor(math.log10(least))
    return next((m * power for m in (1, 2, 5) if m * power >= least * (1 - 1e-9)), 10 * power)


class Axis:
    """From `low` or a little less to `high` or a little more, labelled in at most about `parts` steps of at least `least`; of a single value, from one less."""

    def __init__(self, low, high, parts, least=0.0):
        low = low if low < high else high - 1
        step = max(least, nice_step(high - low, parts))
        self.low, self.high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
        self.ticks = [self.low + k * step for k in range(round((self.high - self.low) / step) + 1)]
        self.digits = max(0, -math.floor(math.log10(step) + 1e-9))

    def at(self, v):
        return (v - self.low) / (self.high - self.low)


def stroke(row):
    """One device solid, several dashed; dotted where not the bits of one are wanted."""
    return "curve" if not row.system.sequential else "curve loose" if row.system.parallel not in (None, "exact") else "curve several"


def legend(rows):
    keys = ""
    for row in rows:
        sign = f'<g class="{row.system.colour}"><line class="{stroke(row)}" x1="0" y1="6" x2="22" y2="6"/></g>'
        keys += f'<span class="key"><svg viewBox="0 0 22 12" width="22" height="12" aria-hidden="true">{sign}</svg>{escaped(row.name)}</span>'
    return keys


def accuracy_chart(title, unit, rows, where, x_axis):
    """Validation accuracy of rows over where(epoch index, mean seconds): the mean of the seeds, and a band from the lowest to the highest."""
    curves = [(row, row.curve()) for row in rows]
    low, high = min(point[2] for _, c in curves for point in c), max(point[3] for _, c in curves for point in c)
    y_axis = Axis(min(100 * low, 90), min(100, max(100 * high, 100 * low + 10)), 6)
    x = lambda v: LEFT + x_axis.at(v) * (WIDTH - LEFT - RIGHT)
    y = lambda v: HEIGHT - BOTTOM - y_axis.at(100 * v) * (HEIGHT - TOP - BOTTOM)
    s, description = "", title
    for v in y_axis.ticks:
        s += f'<line class="grid" x1="{LEFT}" y1="{y(v / 100):.1f}" x2="{WIDTH - RIGHT}" y2="{y(v / 100):.1f}"/>'
        s += f'<text class="tick y" x="{LEFT - 8}" y="{y(v / 100) + 4:.1f}">{v:.{y_axis.digits}f} %</text>'
    floor = HEIGHT - BOTTOM
    s += f'<line class="base" x1="{LEFT}" y1="{floor}" x2="{WIDTH - RIGHT}" y2="{floor}"/>'
    for v in x_axis.ticks:
        s += f'<line class="base" x1="{x(v):.1f}" y1="{floor}" x2="{x(v):.1f}" y2="{floor + 4}"/><text class="tick x" x="{x(v):.1f}" y="{floor + 18}">{v:.{x_axis.digits}f}</text>'
    s += f'<text class="tick x" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 5}">{unit}</text>'
    for row, curve in curves:
        at = [x(where(i, point[0])) for i, point in enumerate(curve)]
        told = "".join(f"\nepoch {i}, {point[0]:.1f} s: {100 * point[1]:.2f} %" for i, point in enumerate(curve, 1))
        path = " ".join(f"{'L' if i else 'M'}{at[i]:.1f} {y(point[1]):.1f}" for i, point in enumerate(curve))
        there = range(len(curve))
        band = " ".join(f"{at[i]:.1f},{y(curve[i][k]):.1f}" for k, order in ((2, there), (3, reversed(there))) for i in order) if len(row.runs) > 1 else ""
        dots = "".join(f'<circle class="dot" cx="{at[i]:.1f}" cy="{y(point[1]):.1f}" r="2.2"/>' for i, point in enumerate(curve)) if len(curve) <= 30 else ""
        s += f'<g class="{row.system.colour}"><title>{escaped(row.name + told)}</title>' + (f'<polygon class="band" points="{band}"/>' if band else "") + f'<path class="{stroke(row)}" d="{path}"/>{dots}</g>'
        description += f"; {row.name} {100 * curve[-1][1]:.2f} % after {curve[-1][0]:.0f} s"
    svg = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escaped(description)}">{s}</svg>'
    return f'<figure class="chart"><figcaption><span class="chart-title">{escaped(title)}</span><span class="legend">{legend(rows)}</span></figcaption>{svg}</figure>\n'


def bars(title, unit, rows, parts, digits, note=""):
    """A bar for each row, of parts (name, style, value of a row); a part whose value is None is left out. The note stands below."""
    sign = lambda style: f'<svg viewBox="0 0 22 12" width="22" height="12" aria-hidden="true"><rect class="bar {style}" x="5" y="0" width="12" height="12"/></svg>'
    keys = "".join(f'<span class="key">{sign(style)}{escaped(name)}</span>' for name, style, _ in parts) if len(parts) > 1 else ""
    sums = [sum(value(row) or 0 for *_, value in parts) for row in rows]
    most, s = max(sums, default=0) or 1, ""
    for row, total in zip(rows, sums):
        pieces = "".join(f'<i class="{style}" style="width:{100 * v / most:.2f}%" title="{escaped(name)}: {v:.{digits}f} {unit}"></i>' for name, style, value in parts if (v := value(row)))
        lane = f'<span class="lane"><span class="pieces">{pieces}</span><span class="sum">{total:.{digits}f} {unit}</span></span>'
        s += f'<div class="row{" ours" if row.system.ours else ""}"><span class="who">{escaped(row.name)}</span>{lane}</div>\n'
    below = f'<p class="note">{escaped(note)}</p>' if note else ""
    return f'<figure class="chart bars"><figcaption><span class="chart-title">{escaped(title)}</span><span class="legend">{keys}</span></figcaption>\n{s}{below}</figure>\n'
