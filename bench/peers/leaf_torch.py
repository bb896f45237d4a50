"""The network and the augmentation of `tomato train DATA --recipe pytorch` in PyTorch: leaf_torch.py DATA [--seed 1] [--epochs 15] [--threads 1]

DATA holds train/ and val/ with class folders of pictures of one size. One line an epoch; needs torch, numpy and pillow."""
import argparse, math, os, time
import numpy as np, torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

p = argparse.ArgumentParser()
p.add_argument("data")
for name, default in (("seed", 1), ("epochs", 15), ("threads", 1), ("batch", 32)):
    p.add_argument("--" + name, type=int, default=default)
o = p.parse_args()
torch.manual_seed(o.seed)
torch.set_num_threads(o.threads)


def load(part):
    """Pictures (N, H, W, 3) uint8 and labels (N)."""
    x, y = [], []
    for label, name in enumerate(sorted(os.listdir(os.path.join(o.data, part)))):
        folder = os.path.join(o.data, part, name)
        for file in sorted(os.listdir(folder)):
            x.append(np.asarray(Image.open(os.path.join(folder, file)).convert("RGB")))
            y.append(label)
    return torch.from_numpy(np.stack(x)), torch.tensor(y)


def on_unit_scale(x):
    return x.permute(0, 3, 1, 2).float() / 255


def augmented(x):
    """torchvision's meaning of shear 0.2 (degrees) and scale 0.8 to 1.2 (of both sides), the nearest pixel, the border mirrored; every second picture flipped."""
    n = len(x)
    scale, shear = 0.8 + 0.4 * torch.rand(n), torch.tan((torch.rand(n) * 2 - 1) * math.radians(0.2))
    m = torch.zeros(n, 2, 3)
    m[:, 0, 0] = torch.where(torch.rand(n) < 0.5, -1.0, 1.0) / scale
    m[:, 0, 1] = shear / scale
    m[:, 1, 1] = 1 / scale
    return F.grid_sample(x, F.affine_grid(m, list(x.shape), align_corners=False), mode="nearest", padding_mode="reflection", align_corners=False)


(x, y), (vx, vy) = load("train"), load("val")
blocks = [layer for a, b in ((3, 32), (32, 64), (64, 128)) for layer in (nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))]
net = nn.Sequential(*blocks, nn.Flatten(), nn.Linear(128 * (x.shape[1] // 8) * (x.shape[2] // 8), 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, int(y.max()) + 1))
net = net.to(memory_format=torch.channels_last)
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
best, begin = 0, time.time()
for epoch in range(o.epochs):
    net.train()
    loss_sum = right = 0
    for b in torch.randperm(len(x)).split(o.batch):
        scores = net(augmented(on_unit_scale(x[b])).contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(scores, y[b])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss_sum += loss.item() * len(b)
        right += (scores.argmax(1) == y[b]).sum().item()
    schedule.step()
    net.eval()
    with torch.no_grad():
        scores = torch.cat([net(on_unit_scale(b)) for b in vx.split(128)])
    accuracy = (scores.argmax(1) == vy).float().mean().item()
    best = max(best, accuracy)
    print(f"epoch {epoch + 1}/{o.epochs}  loss {loss_sum / len(x):.4f}  accuracy {100 * right / len(x):.2f} %  val_loss {F.cross_entropy(scores, vy).item():.4f}"
          f"  val_accuracy {100 * accuracy:.2f} %  best {100 * best:.2f} %  {time.time() - begin:.0f} s", flush=True)
