"""Runs that are finished, one JSON file each, whole or not at all; and what they have in common."""
import fcntl, hashlib, json, os, subprocess

from .readers import whole

SAME = ("data", "size", "epochs", "batch", "device", "threads", "cpu", "gpu")


def processor():
    with open("/proc/cpuinfo") as info:
        fields = dict(map(str.strip, line.split(":", 1)) for line in info if ":" in line)
    kind = ", ".join(f"{word} {fields[word]}" for word in ("cpu family", "model") if word in fields)   # virtual machines often hide the name
    return f"{fields.get('model name', 'unknown processor')} ({kind}), {os.cpu_count()} cores"


def graphics():
    """The names of the GPUs, as their driver has them."""
    try:
        told = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, timeout=60).stdout.split("\n")
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ", ".join(name.strip() for name in told if name.strip()) or None


def hash_of(paths):
    """Of what these files hold."""
    all = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            all.update(file.read())
    return all.hexdigest()[:16]


def pictures(data, part):
    """Names and sizes of the files of DATA/part, in order."""
    found = []
    for folder, _, files in os.walk(os.path.join(data, part), followlinks=True):
        for file in files:
            path = os.path.join(folder, file)
            found.append((os.path.relpath(path, data), os.path.getsize(path)))
    return sorted(found)


def settings(o):
    """What must be the same of all runs of a folder."""
    train, val = pictures(o.data, "train"), pictures(o.data, "val")
    print_of = hashlib.sha256(repr((train, val)).encode(errors="surrogateescape")).hexdigest()[:16]
    return {"data": f"{os.path.basename(os.path.abspath(o.data))}, {len(train)} training and {len(val)} validation pictures, fingerprint {print_of}", "size": o.size, "epochs": o.epochs, "batch": o.batch,
            "device": o.device, "threads": o.threads, "cpu": processor(), "gpu": graphics() if o.device == "cuda" else None}


def write_whole(path, text):
    with open(path + ".new", "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


def alone(path):
    """A file that is locked as long as it is open. Throws ValueError where another study writes to the folder."""
    os.makedirs(path, exist_ok=True)
    lock = open(os.path.join(path, ".lock"), "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(f"another study writes to {path}: wait for its end, or give another folder with --out")
    return lock


class Folder:
    """The runs in DIR/runs, by system and seed. Throws ValueError where one is of another study."""

    def __init__(self, path, common):
        self.path, self.common, self.runs = os.path.join(path, "runs"), common, {}
        os.makedirs(self.path, exist_ok=True)
        for name in sorted(os.listdir(self.path)):
            if not name.endswith(".json"):
                continue
            try:
                with open(os.path.join(self.path, name), encoding="utf-8") as file:
                    run = json.load(file)
                theirs = run["settings"]
                if not whole(run["epochs"], theirs["epochs"]) or not all(run[figure] >= 0 for figure in ("wall", "peak_mb", "others")):
                    raise ValueError
                self.runs[run["system"], run["seed"]] = run
            except (ValueError, KeyError, TypeError):
                raise ValueError(f"{os.path.join(self.path, name)} is no run of a study: take it away")
            for what in SAME:
                if theirs.get(what) != common.get(what):
                    raise ValueError(f"{path} holds runs of another study ({what}: {theirs.get(what)}) than this one ({common.get(what)}): repeat its command, or give another folder with --out")

    def keep(self, run):
        self.runs[run["system"], run["seed"]] = run
        write_whole(os.path.join(self.path, f"{run['system']}-{run['seed']}.json"), json.dumps(run, indent=1))
