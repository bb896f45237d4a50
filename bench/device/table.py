"""Medians of what run.sh measured in turns, and the ratios to Lamina: table.py FOLDER reads bench.jsonl there, and writes bench.md and bench.csv."""
import csv, json, os, statistics, sys

folder = sys.argv[1]
with open(os.path.join(folder, "bench.jsonl")) as file:
    lines = [json.loads(line) for line in file if line.startswith("{")]
all = {}
for line in lines:
    all.setdefault((line["net"], line["size"], line["batch"], line["number"]), {}).setdefault((line["peer"], line["mode"]), []).append(line)

table = []
for row, peers in all.items():
    ours = next((lines for (peer, _), lines in peers.items() if peer == "Lamina"), None)
    for (peer, mode), measured in peers.items():
        us = [line["step_us_median"] for line in measured]
        mb = statistics.median(line["peak_mb"] for line in measured)
        table.append({"work": "{} {} {}".format(*row), "number": row[3], "peer": f"{peer} {mode}", "rounds": len(us), "us": statistics.median(us), "least": min(us), "most": max(us), "mb": mb,
                      "images_per_s": round(1e6 * row[2] / statistics.median(us)),
                      "of_lamina": round(statistics.median(us) / statistics.median(line["step_us_median"] for line in ours), 2) if ours else "",
                      "mb_of_lamina": round(mb / statistics.median(line["peak_mb"] for line in ours), 2) if ours and ours[0]["peak_mb"] else ""})
with open(os.path.join(folder, "bench.csv"), "w", newline="") as file:
    writer = csv.DictWriter(file, list(table[0]) if table else ["work"])
    writer.writeheader()
    writer.writerows(table)
with open(os.path.join(folder, "bench.md"), "w") as file:
    for out in (file, sys.stdout):
        print("on", ", ".join(sorted({line["device"] for line in lines})), "\n", file=out)
        print("| work | numbers | peer | step, us (least, most of the rounds) | of Lamina's | images/s | peak MB | of Lamina's |\n|---|---|---|---|---|---|---|---|", file=out)
        for r in table:
            print(f"| {r['work']} | {r['number']} | {r['peer']} | {r['us']:.1f} ({r['least']:.1f}, {r['most']:.1f}) | {r['of_lamina']} | {r['images_per_s']:,} | {r['mb']:.0f} | {r['mb_of_lamina']} |",
                  file=out)
