"""What the study runs: the four originals, Lamina with the recipe of each, and how a process of each is started."""
import glob, os, re

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PEERS = os.environ.get("LAMINA_PEERS") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "lamina-peers")

# Of the study that this repeats: accuracy, loss, seconds of STUDY_EPOCHS epochs, on machines of its own.
STUDY_EPOCHS = 100
STUDY = {"torch": (0.9047, 0.5567, 1751.16), "torch_parallel": (0.8867, 0.6167, 1685.85), "keras": (0.8932, 0.5953, 1991.15), "keras_parallel": (0.8632, 0.6354, 1511.31)}


class System:
    """One row. `original` is the key of the row it answers to (its own for an original), `sequential` that of the row it divides among replicas. `reads` names what tells its epochs."""

    def __init__(self, key, name, original, colour, sequential=None, script=None, packages=(), recipe=None, parallel=None, replicas=1):
        self.key, self.name, self.original, self.colour, self.sequential = key, name, original, colour, sequential
        self.script, self.packages, self.recipe, self.parallel, self.replicas = script, packages, recipe, parallel, replicas
        self.ours = script is None

    def absent(self, o):
        """Why it cannot run here, or nothing."""
        if self.ours:
            return None if os.access(o.tomato, os.X_OK) else f"not built: {os.path.basename(o.tomato)} comes with cmake --workflow --preset test, or say --tomato"
        found = all(glob.glob(os.path.join(PEERS, "lib/python*/site-packages", package)) for package in self.packages)
        return None if found else "not installed: bench/peers/install.sh"

    def program(self, o):
        """The files that its runs are made by."""
        return [o.tomato] if self.ours else [os.path.join(BENCH, "peers", name) for name in (self.script, "study_work.py")]

    def command(self, o, seed, out):
        usual = [word for name in ("size", "epochs", "batch") for word in ("--" + name, str(getattr(o, name)))] + ["--seed", str(seed), "--device", o.device]
        if not self.ours:
            return [os.path.join(PEERS, "bin/python"), os.path.join(BENCH, "peers", self.script), o.data, *usual, "--threads", str(o.threads), *(["--parallel"] if self.sequential else [])]
        replicas = ["--replicas", str(self.replicas), "--parallel", self.parallel] if self.parallel else []
        threads = max(1, o.threads // self.replicas)                                         # a replica has threads of its own
        return [o.tomato, "train", o.data, "--out", out, "--recipe", self.recipe, *usual, "--threads", str(threads), *replicas]


def systems(n=2):
    """All rows; where Lamina's batches are divided, among n replicas."""
    torch = {"script": "study_torch.py", "packages": ("torch", "torchvision")}
    keras = {"script": "study_keras.py", "packages": ("keras", "tensorflow", "scipy")}
    ours = lambda recipe, way="": f"Lamina ({recipe}{f', {n} {way}' if way else ''})"
    return [System("torch", "PyTorch", "torch", "torch", **torch),
            System("ours_pytorch", ours("pytorch"), "torch", "ours-torch", recipe="pytorch"),
            System("torch_parallel", "PyTorch DataParallel", "torch_parallel", "torch", "torch", **torch),
            System("ours_pytorch_exact", ours("pytorch", "exact"), "torch_parallel", "ours-torch", "ours_pytorch", recipe="pytorch", parallel="exact", replicas=n),
            System("ours_dataparallel", ours("pytorch", "dataparallel"), "torch_parallel", "ours-torch", "ours_pytorch", recipe="pytorch", parallel="dataparallel", replicas=n),
            System("keras", "Keras", "keras", "keras", **keras),
            System("ours_keras", ours("keras"), "keras", "ours-keras", recipe="keras"),
            System("keras_parallel", "Keras MirroredStrategy", "keras_parallel", "keras", "keras", **keras),
            System("ours_keras_exact", ours("keras", "exact"), "keras_parallel", "ours-keras", "ours_keras", recipe="keras", parallel="exact", replicas=n),
            System("ours_mirrored", ours("keras", "mirrored"), "keras_parallel", "ours-keras", "ours_keras", recipe="keras", parallel="mirrored", replicas=n),
            System("ours_lamina", ours("its own recipe"), None, "own", recipe="lamina")]


def gpus():
    """How many NVIDIA GPUs the driver shows, and CUDA_VISIBLE_DEVICES lets through."""
    count = len([path for path in glob.glob("/dev/nvidia*") if re.fullmatch(r"/dev/nvidia\d+", path)])
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return count if visible is None else min(count, len([v for v in visible.split(",") if v.strip()]))


def replicas(device):
    """How many replicas divide a batch here: one for each GPU, and on the CPU two."""
    return max(2, gpus()) if device == "cuda" else 2


def missing_device(system, o):
    """Why this machine cannot run it on --device, or nothing."""
    if o.device == "cpu":
        return None
    count = gpus()
    if not count:
        return "this machine shows no GPU"
    if system.sequential and count == 1:
        return "it divides a batch among GPUs, and this machine has one"
    return None
