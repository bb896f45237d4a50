"""Training steps of bench_gpu in PyTorch, on a GPU, at its best:
speed_torch_gpu.py [--rows "leaf 64 64,resnet18 64 256"] [--modes eager,compiled-graph] [--number bf16|float32] [--rounds 5] [--beside COMMAND]

A row is a network, the side of its pictures, the batch. A step is the forward pass, cross-entropy, all gradients and Adam, of a batch that lies on the GPU in the
numbers of the step; a time is the median over groups of steps between two CUDA events, and a line of JSON. Of every mode:
  eager            operation by operation
  compiled         torch.compile of the network and its loss
  reduce-overhead  torch.compile in this mode, which makes CUDA graphs of its own
  eager-graph, compiled-graph    the whole step as one CUDA graph, the optimizer with it
All: channels_last, bf16 under autocast (float32: with TF32), Adam fused and without a wait for the host, cuDNN's fastest algorithm for the shape.

Everything is made first and stays on the GPU; then a round measures one after the other, and runs COMMAND, whose lines are printed along: so both take turns. A network is
compiled for each row, for half a minute: --warm does only that, in processes side by side, for whoever comes next to find it in Inductor's cache. When --within seconds are
over, no row is begun."""
import argparse, contextlib, gc, json, os, shlex, statistics, subprocess, sys, time

import torch
from torch.nn import functional as F

import nets_torch
from work import CLASSES, RATE

ROWS = ",".join([f"leaf {size} {batch}" for size in (64, 128, 256) for batch in (64, 256)] + ["resnet18 64 64", "resnet18 64 256"])
MODES = ("eager", "eager-graph", "compiled", "compiled-graph", "reduce-overhead")


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rows", default=ROWS)
    p.add_argument("--modes", default="eager,compiled-graph")
    p.add_argument("--number", choices=("bf16", "float32"), default="bf16")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=0.2, help="of a mode of a row in a round")
    p.add_argument("--within", type=float, default=1e9)
    p.add_argument("--beside", metavar="COMMAND")
    p.add_argument("--warm", action="store_true")
    p.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu tries the program, without graphs")
    return p.parse_args()


class Training:
    """A network and the step that trains it, in one mode."""

    def __init__(self, row, mode, o):
        name, size, batch = row.split()
        self.about = {"peer": "PyTorch", "version": torch.__version__, "net": name, "size": int(size), "batch": int(batch), "number": o.number, "mode": mode}
        self.gpu = o.device == "cuda"
        number = torch.bfloat16 if o.number == "bf16" else torch.float32
        before = torch.cuda.memory_allocated() if self.gpu else 0
        torch.manual_seed(1)
        net = nets_torch.of(name, int(size), CLASSES).to(o.device, memory_format=torch.channels_last)
        x = (torch.rand(int(batch), 3, int(size), int(size)) * 2 - 1).to(o.device, number, memory_format=torch.channels_last)
        y = (torch.arange(int(batch)) % CLASSES).to(o.device)
        optimizer = torch.optim.Adam(net.parameters(), RATE, fused=True, capturable=self.gpu)
        # The cache of casts would outlive the capture of a graph, and no weight is used twice.
        cast = torch.autocast(o.device, torch.bfloat16, enabled=o.number == "bf16", cache_enabled=False)

        def loss(x, y):
            with cast:
                return F.cross_entropy(net(x), y)

        if mode.startswith("compiled"):
            loss = torch.compile(loss, dynamic=False, fullgraph=True)
        elif mode == "reduce-overhead":
            loss = torch.compile(loss, dynamic=False, fullgraph=True, mode=mode)

        def step():
            optimizer.zero_grad()
            now = loss(x, y)
            now.backward()
            optimizer.step()
            self.loss = now.detach()    # which lets go of the tape: the next may be of another stream

        self.step = step
        self.wait()
        graph = mode.endswith("-graph") and self.gpu
        with torch.cuda.stream(torch.cuda.Stream()) if graph else contextlib.nullcontext():
            for _ in range(5):
                step()
        self.wait()
        if self.gpu:    # cuDNN is done with trying
            torch.cuda.reset_peak_memory_stats()
        if graph:
            optimizer.zero_grad()
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                step()
            self.step, self.kept = self.graph.replay, (x, y, net, optimizer)    # a graph keeps nothing that it reads
        else:
            step()
        self.wait()
        self.about["peak_mb"] = round((torch.cuda.max_memory_allocated() - before) / 2**20, 1) if self.gpu else 0
        self.times = []

    def wait(self):
        if self.gpu:
            torch.cuda.synchronize()

    def group(self, steps):
        """Seconds a step takes."""
        if not self.gpu:
            begin = time.perf_counter()
            for _ in range(steps):
                self.step()
            return (time.perf_counter() - begin) / steps
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(steps):
            self.step()
        end.record()
        end.synchronize()
        return 1e-3 * begin.elapsed_time(end) / steps

    def measure(self, seconds):
        """Groups of 5 ms; the first does not count."""
        self.group(3)
        steps = max(1, int(5e-3 / self.group(10)))
        begin, times = time.perf_counter(), []
        while len(times) < 4 or time.perf_counter() - begin < seconds:
            times.append(self.group(steps))
        times = times[1:]
        print(json.dumps({**self.about, "step_us_median": round(1e6 * statistics.median(times), 2), "groups": len(times), "steps_of_group": steps,
                          "loss": round(self.loss.item(), 4), "device": torch.cuda.get_device_name() if self.gpu else "CPU"}), flush=True)


def made(rows, modes, o):
    """Every row in every mode, as far as the time goes."""
    for row in rows:
        for mode in modes:
            begin = time.perf_counter()
            if begin - START > o.within:
                say(f"no time for {row} {mode}")
                continue
            try:
                training = Training(row, mode, o)
            except Exception as e:
                say(f"{row} {mode} is left out: {type(e).__name__}: {e}")
                continue
            say(f"{row} {mode}: made in {time.perf_counter() - begin:.1f} s")
            yield training
        gc.collect()


def say(words):
    print(f"speed_torch_gpu.py, {time.perf_counter() - START:.0f} s: {words}", file=sys.stderr, flush=True)


def warm(rows, modes, o):
    compiled = [mode for mode in ("compiled", "reduce-overhead") if any(m.startswith(mode) for m in modes)] or ["eager"]
    threads = str(max(1, os.cpu_count() // len(rows)))
    command = [sys.executable, __file__, "--rounds", "0", "--number", o.number, "--device", o.device, "--modes", ",".join(compiled), "--rows"]
    all = [subprocess.Popen([*command, row], env={**os.environ, "TORCHINDUCTOR_COMPILE_THREADS": threads, "OMP_NUM_THREADS": threads}) for row in rows]
    for process in all:
        try:
            process.wait(max(1, START + o.within - time.perf_counter()))
        except subprocess.TimeoutExpired:
            process.kill()


START = time.perf_counter()
o = options()
rows, modes = [row.strip() for row in o.rows.split(",")], o.modes.split(",")
if unknown := set(modes) - set(MODES):
    raise SystemExit(f"there is no mode {', '.join(unknown)}: {', '.join(MODES)}")
if o.device == "cuda" and not torch.cuda.is_available():
    raise SystemExit("speed_torch_gpu.py: PyTorch finds no GPU; --device cpu tries the program without one")
torch._dynamo.config.recompile_limit = 1000    # every training is the same code to it, and eight are as many as it would compile
torch.backends.cudnn.benchmark = True
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
if o.warm:
    warm(rows, modes, o)
    raise SystemExit
trainings = list(made(rows, modes, o))
for _ in range(o.rounds):
    for training in trainings:
        training.measure(o.seconds)
    if o.beside:
        if subprocess.run(shlex.split(o.beside)).returncode:
            say(f"'{o.beside}' did not end well")
    if time.perf_counter() - START > o.within:
        say("the time is over")
        break
