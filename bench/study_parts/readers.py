"""What a run says while it runs and when it is over: the epochs of a peer from its lines, those of Lamina from its history.csv."""
import csv, json, math, os


class PeerReader:
    """Lines of JSON of bench/peers/study_*.py."""

    def __init__(self):
        self.epochs, self.about, self.step = [], {}, None

    def look(self, line):
        if not line or not line.startswith("{"):
            return
        try:
            said = json.loads(line)
        except ValueError:
            return
        if "epoch" in said:
            self.epochs.append(said)
        elif "version" in said:
            self.about = said
        elif "step" in said:
            self.step = said

    def result(self):
        """The epochs, and how `wait` was told."""
        if self.step:                                   # the part of an epoch that its steps do not explain
            for e in self.epochs:
                e["wait"] = max(0.0, e["seconds"] - self.step["steps"] * self.step["step"])
        return self.epochs, {**self.about, "wait": "by subtraction" if self.step else "measured"}


class OurReader:
    """history.csv of tomato train, which is written anew after every epoch."""

    def __init__(self, out, system, version):
        self.path, self.epochs, self.seen, self.system, self.version = os.path.join(out, "history.csv"), [], None, system, version

    def look(self, line):
        if line is not None:
            return
        try:
            now = os.stat(self.path).st_mtime_ns
            if now == self.seen:
                return
            self.seen = now
            with open(self.path, newline="") as file:
                rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
            self.epochs = [{"epoch": int(row["epoch"]), "loss": row["loss"], "accuracy": row["accuracy"], "val_loss": row["val_loss"], "val_accuracy": row["val_accuracy"],
                            "seconds": row["seconds"] - row["validation"], "wait": row["wait"], "validation": row["validation"]} for row in rows]
        except (OSError, ValueError, KeyError):
            pass

    def result(self):
        how = f"{self.system.parallel}, replicas in threads of one program" if self.system.parallel else "one device"
        return self.epochs, {"version": self.version, "how": how, "wait": "measured"}


def whole(epochs, wanted):
    """Whether these are epochs 1 ... wanted with figures that are numbers."""
    names = ("loss", "accuracy", "val_loss", "val_accuracy", "seconds", "validation")
    return [e.get("epoch") for e in epochs] == list(range(1, wanted + 1)) and all(math.isfinite(e[name]) for e in epochs for name in names)
