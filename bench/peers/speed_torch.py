"""bench_train and bench_predict in PyTorch:
speed_torch.py --mode train|predict [--net ...] [--size 64] [--batch 32] [--threads 2] [--seconds 3] [--compile | --freeze] [--json]

channels_last; the optimizer in one pass ("fused"); prediction under inference_mode."""
import torch
from torch.nn import functional as F

import nets_torch
from work import CLASSES, MOMENTUM, RATE, measure, options


def trained(net, o):
    """A training step and what tells its loss."""
    optimizer = torch.optim.SGD(net.parameters(), RATE, MOMENTUM, fused=True)
    forward = lambda x, y: F.cross_entropy(net(x), y)
    if o.compile:
        forward = torch.compile(forward)
    last = None

    def step():
        nonlocal last
        last = forward(x, y)
        last.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step, lambda: last.item()


def predicted(net, o):
    """A prediction."""
    net.eval()
    if o.compile:
        net = torch.compile(net)
    elif o.freeze:
        with torch.inference_mode():
            net = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, x)))

    def step():
        with torch.inference_mode():
            net(x)

    return step, None


o = options(__doc__, ("compile", "torch.compile; its weights are constants in prediction"), ("freeze", "in prediction, TorchScript's optimize_for_inference"))
if o.freeze and (o.compile or o.mode == "train"):
    raise SystemExit("--freeze is for prediction, without --compile")
torch.manual_seed(1)
torch.set_num_threads(o.threads)
torch._inductor.config.freezing = o.mode == "predict"
net = nets_torch.of(o.net, o.size, CLASSES).to(memory_format=torch.channels_last)
x = (torch.rand(o.batch, 3, o.size, o.size) * 2 - 1).to(memory_format=torch.channels_last)
y = torch.arange(o.batch) % CLASSES
settings = "compiled" if o.compile else "frozen" if o.freeze else "eager"
measure(o, "PyTorch", settings, torch.__version__, sum(p.numel() for p in net.parameters()), *(trained if o.mode == "train" else predicted)(net, o))
