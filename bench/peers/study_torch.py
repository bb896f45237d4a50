"""The study's network in PyTorch, as its users write it: study_torch.py DATA [--size 64] [--epochs 15] [--batch 32] [--seed 1] [--threads 2] [--parallel] [--follow DIR]

DataLoader with a persistent worker for each thread, torchvision's transforms v2 (pictures of another size are resized by the nearest pixel, as by Keras and by Lamina's trainer), channels_last, threads that wait passively, Adam, ExponentialLR once an epoch. --parallel: nn.DataParallel over all GPUs; where there is none,
DistributedDataParallel through gloo, two processes that share the threads, the workers and the batch.

Augmentation is that of Lamina's recipe `pytorch` but for what lies beyond the border: torchvision's RandomAffine fills it with black, the recipe mirrors it. Both shear by up to 0.2 degrees, scale
both sides by one factor of 0.8 to 1.2, and take the nearest pixel. It prints one line of JSON an epoch; needs torch and torchvision."""
import copy, os, sys, tempfile, time

import study_work
from study_work import DECAY, DROPOUT, EVALUATION_BATCH, RATE, SHEAR, ZOOM

o = study_work.options(__doc__)
# Its threads wait without turning in circles on the cores that the workers need: 1.65 s for 20 steps beside 1.68 on a quiet machine, 8 beside 23 on one where others compute too.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch, torchvision
from torch import distributed, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, DistributedSampler, Subset
from torchvision.transforms import v2

PROCESSES = 2


def simple_cnn(size, classes, dropout=DROPOUT):
    blocks = [layer for a, b in ((3, 32), (32, 64), (64, 128)) for layer in (nn.Conv2d(a, b, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2))]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(128 * (size // 8) ** 2, 128), nn.ReLU(), nn.Dropout(dropout), nn.Linear(128, classes))


def pictures(part, augmented):
    """An ImageFolder of DATA/part: (3, size, size) in 0..1."""
    changes = [v2.RandomAffine(0, shear=SHEAR, scale=(1 - ZOOM, 1 + ZOOM)), v2.RandomHorizontalFlip()] if augmented else []
    return torchvision.datasets.ImageFolder(os.path.join(o.data, part), v2.Compose([v2.Resize((o.size, o.size), v2.InterpolationMode.NEAREST), *changes, v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]))


class Timed:
    """The batches of a loader, on the device; `wait` are the seconds in which they did not come."""

    def __init__(self, loader, device):
        self.loader, self.device, self.wait = loader, device, 0

    def __iter__(self):
        begin = time.perf_counter()
        for x, y in self.loader:
            x, y = x.to(self.device, memory_format=torch.channels_last, non_blocking=True), y.to(self.device, non_blocking=True)
            self.wait += time.perf_counter() - begin
            yield x, y
            begin = time.perf_counter()
        self.wait += time.perf_counter() - begin


def one_pass(net, batches, optimizer=None):
    """Sum of the losses, right answers, and samples of a pass. It trains if there is an optimizer."""
    net.train(optimizer is not None)
    sums = torch.zeros(3, dtype=torch.float64)
    with torch.set_grad_enabled(optimizer is not None):
        for x, y in batches:
            scores = net(x)
            loss = F.cross_entropy(scores, y)
            if optimizer:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            sums += torch.tensor([loss.item() * len(y), (scores.argmax(1) == y).sum().item(), len(y)], dtype=torch.float64)
    return sums


def train(rank, processes, meeting):
    device = torch.device(o.device)
    torch.set_num_threads(max(1, o.threads // processes))
    torch.manual_seed(o.seed)
    learned, validated = pictures("train", True), pictures("val", False)
    net = simple_cnn(o.size, len(learned.classes)).to(device, memory_format=torch.channels_last)
    sampler, optimized = None, net
    if processes > 1:
        distributed.init_process_group("gloo", init_method="file://" + meeting, rank=rank, world_size=processes)
        optimized = nn.parallel.DistributedDataParallel(net)
        sampler = DistributedSampler(learned, seed=o.seed)
        validated = Subset(validated, range(rank, len(validated), processes))
        torch.manual_seed(o.seed * processes + rank)           # replicas change their pictures each in another way
    elif o.parallel:
        optimized = nn.DataParallel(net)
    usual = {"num_workers": max(1, o.threads // processes), "persistent_workers": True, "pin_memory": o.device == "cuda"}
    training = DataLoader(learned, o.batch // processes, shuffle=sampler is None, sampler=sampler, **usual)
    validation = DataLoader(validated, EVALUATION_BATCH // processes, **usual)
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, DECAY)

    for epoch in range(1, o.epochs + 1):
        if sampler:
            sampler.set_epoch(epoch)
        begin, batches = time.perf_counter(), Timed(training, device)
        sums = one_pass(optimized, batches, optimizer)
        schedule.step()
        middle = time.perf_counter()
        val_sums = one_pass(net, Timed(validation, device))
        if processes > 1:
            for s in (sums, val_sums):
                distributed.all_reduce(s)
        if rank == 0:
            (loss, right, n), (val_loss, val_right, val_n) = sums.tolist(), val_sums.tolist()
            study_work.say_epoch(epoch, loss / n, right / n, val_loss / val_n, val_right / val_n, middle - begin, batches.wait, time.perf_counter() - middle)
    if processes > 1:
        distributed.destroy_process_group()


def follow():
    """One epoch step by step, for bench_follow, in double precision and in single."""
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    to_unit = v2.Lambda(lambda x: x.float() * torch.tensor(1 / 255))         # ToDtype divides, which Lamina and Keras do not
    learned = torchvision.datasets.ImageFolder(os.path.join(o.data, "train"), v2.Compose([v2.Resize((o.size, o.size), v2.InterpolationMode.NEAREST), v2.PILToTensor(), to_unit]))
    first = simple_cnn(o.size, len(learned.classes), dropout=0)
    order, rates = torch.randperm(len(learned)).tolist(), []

    def losses(number):
        net = copy.deepcopy(first).to(number, memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
        for x, y in DataLoader(learned, o.batch, sampler=order):
            if number == torch.float64:
                rates.append(optimizer.param_groups[0]["lr"])
            loss = F.cross_entropy(net(x.to(number, memory_format=torch.channels_last)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield loss.item()

    weights = [(f"{i // 2}.{name.split('.')[1]}", w.numpy()) for i, (name, w) in enumerate(first.state_dict().items())]
    paths = [os.path.relpath(learned.samples[i][0], o.data) for i in order]
    double, single = list(losses(torch.float64)), list(losses(torch.float32))
    study_work.write_followed(o, "torch", torch.__version__, weights, paths, [learned.targets[i] for i in order], rates, double, single)


def main():
    gpus = torch.cuda.device_count() if o.device == "cuda" else 0
    if o.device == "cuda" and not gpus:
        sys.exit("PyTorch finds no GPU on this machine")
    if o.follow:
        return follow()
    if o.parallel and gpus == 1:
        sys.exit("nn.DataParallel divides a batch among GPUs, and this machine has one")
    processes, how = 1, "one device"
    if o.parallel:
        processes = 1 if gpus else PROCESSES
        how = f"nn.DataParallel over {gpus} GPUs" if gpus else f"DistributedDataParallel through gloo, {PROCESSES} processes: nn.DataParallel finds no GPU here"
    study_work.say(version=f"PyTorch {torch.__version__}, torchvision {torchvision.__version__}", how=how, replicas=gpus if o.parallel and gpus else processes)
    if processes == 1:
        return train(0, 1, None)
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(train, (processes, os.path.join(folder, "meeting")), processes)


if __name__ == "__main__":
    main()
