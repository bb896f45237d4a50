"""The networks of bench/networks in PyTorch; but for the leaf network, lamina::zoo's."""
from torch import nn


def relu():
    return nn.ReLU(inplace=True)


def relu6():
    return nn.ReLU6(inplace=True)


def conv(a, b, k=3):
    return [nn.Conv2d(a, b, k, padding=k // 2), relu()]


def conv_norm(a, b, k, stride=1, groups=1):
    return [nn.Conv2d(a, b, k, stride, k // 2, groups=groups, bias=False), nn.BatchNorm2d(b)]


class Sum(nn.Module):
    """The sum of two branches, then what comes `after`."""

    def __init__(self, body, shortcut, *after):
        super().__init__()
        self.body, self.shortcut, self.after = nn.Sequential(*body), nn.Sequential(*shortcut), nn.Sequential(*after)

    def forward(self, x):
        return self.after(self.body(x) + self.shortcut(x))


def leaf(size, classes):
    blocks = [layer for a, b in ((3, 32), (32, 64), (64, 128)) for layer in (*conv(a, b), nn.MaxPool2d(2))]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(128 * (size // 8) ** 2, 128), relu(), nn.Linear(128, classes))


def vgg11(size, classes):
    layers, c = [], 3
    for out, times in ((64, 1), (128, 1), (256, 2), (512, 2), (512, 2)):
        for _ in range(times):
            layers += conv(c, out)
            c = out
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512 * (size // 32) ** 2, 4096), relu(), nn.Dropout(0.5), nn.Linear(4096, 4096), relu(), nn.Dropout(0.5),
                         nn.Linear(4096, classes))


def resnet18(size, classes):
    def block(a, b, stride):
        same = a == b and stride == 1
        return Sum([*conv_norm(a, b, 3, stride), relu(), *conv_norm(b, b, 3)], [] if same else conv_norm(a, b, 1, stride), relu())

    stem = [*conv_norm(3, 64, 7, 2), relu(), nn.MaxPool2d(3, 2, 1)] if size >= 128 else [*conv_norm(3, 64, 3), relu()]
    blocks = [block(*b) for b in ((64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1))]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


def mobilenetv2(size, classes):
    def block(a, b, stride, expand):
        wide = a * expand
        body = [*([*conv_norm(a, wide, 1), relu6()] if expand > 1 else []), *conv_norm(wide, wide, 3, stride, groups=wide), relu6(), *conv_norm(wide, b, 1)]
        return Sum(body, []) if a == b and stride == 1 else nn.Sequential(*body)

    layers, c = [*conv_norm(3, 32, 3, 2 if size >= 128 else 1), relu6()], 32
    for expand, out, times, stride in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):
        for i in range(times):
            layers.append(block(c, out, stride if i == 0 else 1, expand))
            c = out
    return nn.Sequential(*layers, *conv_norm(320, 1280, 1), relu6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(1280, classes))


def of(name, size, classes):
    """With weights uniform within the square root of 6 / fan_in, as Lamina has them."""
    net = {"leaf": leaf, "vgg11": vgg11, "resnet18": resnet18, "mobilenetv2": mobilenetv2}[name](size, classes)
    for layer in net.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return net
