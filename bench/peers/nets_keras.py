"""The networks of bench/networks in Keras; but for the leaf network, lamina::zoo's. Strides of 2 pad both sides, as there, where Keras's "same" would pad one."""
import keras
from keras import layers


def conv(x, channels):
    return layers.Conv2D(channels, 3, padding="same", activation="relu", kernel_initializer="he_uniform")(x)


def dense(x, outputs, activation=None):
    return layers.Dense(outputs, activation, kernel_initializer="he_uniform")(x)


def norm(x):
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def padded(x, k, stride):
    """What a convolution is given, and its padding."""
    return (x, "same") if stride == 1 else (layers.ZeroPadding2D(k // 2)(x) if k > 1 else x, "valid")


def conv_norm(x, channels, k, stride=1):
    x, padding = padded(x, k, stride)
    return norm(layers.Conv2D(channels, k, stride, padding, use_bias=False, kernel_initializer="he_uniform")(x))


def depthwise_norm(x, stride):
    x, padding = padded(x, 3, stride)
    return norm(layers.DepthwiseConv2D(3, stride, padding, use_bias=False, depthwise_initializer="he_uniform")(x))


def relu(x):
    return layers.ReLU()(x)


def relu6(x):
    return layers.ReLU(6)(x)


def leaf(x, size, classes):
    for channels in (32, 64, 128):
        x = layers.MaxPooling2D(2)(conv(x, channels))
    return dense(dense(layers.Flatten()(x), 128, "relu"), classes)


def vgg11(x, size, classes):
    for channels, times in ((64, 1), (128, 1), (256, 2), (512, 2), (512, 2)):
        for _ in range(times):
            x = conv(x, channels)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    for _ in range(2):
        x = layers.Dropout(0.5)(dense(x, 4096, "relu"))
    return dense(x, classes)


def resnet18(x, size, classes):
    x = relu(conv_norm(x, 64, *((7, 2) if size >= 128 else (3, 1))))
    if size >= 128:
        x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))   # behind ReLU a border of zeros never wins alone
    for channels, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        shortcut = x if stride == 1 else conv_norm(x, channels, 1, stride)
        x = relu(layers.Add()([conv_norm(relu(conv_norm(x, channels, 3, stride)), channels, 3), shortcut]))
    return dense(layers.GlobalAveragePooling2D()(x), classes)


def mobilenetv2(x, size, classes):
    x = relu6(conv_norm(x, 32, 3, 2 if size >= 128 else 1))
    for expand, channels, times, stride in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):
        for i in range(times):
            y, step = x, stride if i == 0 else 1
            if expand > 1:
                y = relu6(conv_norm(y, expand * x.shape[-1], 1))
            y = conv_norm(relu6(depthwise_norm(y, step)), channels, 1)
            x = layers.Add()([y, x]) if step == 1 and x.shape[-1] == channels else y
    x = layers.GlobalAveragePooling2D()(relu6(conv_norm(x, 1280, 1)))
    return dense(layers.Dropout(0.2)(x), classes)


def of(name, size, classes):
    """With weights uniform within the square root of 6 / fan_in, as Lamina has them."""
    picture = keras.Input((size, size, 3))
    return keras.Model(picture, {"leaf": leaf, "vgg11": vgg11, "resnet18": resnet18, "mobilenetv2": mobilenetv2}[name](picture, size, classes))
