"""bench/study --follow: each original trains one epoch and leaves its initial weights, order and losses; bench_follow does the same from there."""
import json, os, subprocess, tempfile

from . import systems

WITHIN = 1e-3


def run(o):
    """Returns the exit code: 0 if every original that is installed was followed within WITHIN."""
    if not os.access(o.bench_follow, os.X_OK):
        raise ValueError("bench_follow is not built: cmake --workflow --preset test, or say --bench-follow")
    missed = 0
    for system in systems.systems():
        if system.ours or system.sequential:
            continue
        if reason := system.absent(o):
            print(f"{system.name}: {reason}")
            continue
        with tempfile.TemporaryDirectory(prefix="study-") as folder:
            peer = [os.path.join(systems.PEERS, "bin/python"), os.path.join(systems.BENCH, "peers", system.script), o.data]
            peer += [word for name in ("size", "batch", "threads") for word in ("--" + name, str(getattr(o, name)))]
            line = ""
            for command in ([*peer, "--follow", folder], [o.bench_follow, folder, o.data, "--threads", str(o.threads)]):
                done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
                if done.returncode:
                    words = [w.strip() for w in done.stderr.splitlines() if w.strip()]
                    print(f"{system.name}: failed: {words[-1] if words else done.returncode}")
                    break
                line = done.stdout
            else:
                told = json.loads(line)
                within = told["difference"] <= WITHIN and told["rates_apart"] <= WITHIN
                print(f"{system.name} {told['version']}: {told['steps']} steps, loss {told['first_loss']:.4f} to {told['last_loss']:.4f}. The recipe's rates differ by {told['rates_apart']:.2g} of themselves at most. "
                      f"In double precision Lamina's losses differ by {told['difference']:.2g} at most: {'within' if within else 'NOT within'} {WITHIN:g}. "
                      f"In single precision they stay within {WITHIN:g} for {told['single_steps']} steps and differ by {told['single_difference']:.2g} at most, where {system.name}'s stay within {WITHIN:g} of its own in "
                      f"double for {told['their_single_steps']} steps and differ by {told['their_single_from_double']:.2g}, and Lamina's by {told['our_single_from_double']:.2g}.")
                missed += not within
                continue
            missed += 1
    return 1 if missed else 0
