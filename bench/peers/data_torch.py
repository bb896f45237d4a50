"""bench_data in torchvision: data_torch.py --pictures DIR [--size 64] [--batch 32] [--threads 2] [--seconds 3] [--tensors] [--json]

ImageFolder and DataLoader, one worker process for each thread, an order without end, so that no epoch begins anew. Pillow decodes and changes; with --tensors torchvision's own decoder, and its changes of tensors."""
import torch, torchvision
from torch.utils.data import DataLoader, RandomSampler
from torchvision.io import ImageReadMode, decode_image, read_file
from torchvision.transforms import v2

from work import data_options, measure_stream

o = data_options(__doc__, ("tensors", "torchvision's own decoder"))
torch.set_num_threads(1)
nearest = v2.InterpolationMode.NEAREST
changes = [v2.Resize((o.size, o.size), nearest), v2.RandomAffine(0, scale=(0.8, 1.2), shear=0.2, interpolation=v2.InterpolationMode.BILINEAR), v2.RandomHorizontalFlip()]
numbers = [v2.ToDtype(torch.float32, scale=True)]
if o.tensors:
    pictures = torchvision.datasets.ImageFolder(o.pictures, v2.Compose(changes + numbers), loader=lambda path: decode_image(read_file(path), ImageReadMode.RGB))
else:
    pictures = torchvision.datasets.ImageFolder(o.pictures, v2.Compose(changes + [v2.ToImage()] + numbers))
loader = DataLoader(pictures, o.batch, sampler=RandomSampler(pictures, replacement=True, num_samples=1 << 30), num_workers=o.threads, prefetch_factor=4)
measure_stream(o, "torchvision", "decode_image" if o.tensors else "Pillow", torchvision.__version__, len(pictures), (len(x) for x, _ in loader))
