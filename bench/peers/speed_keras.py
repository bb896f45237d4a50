"""bench_train and bench_predict in Keras on TensorFlow:
speed_keras.py --mode train|predict [--net ...] [--size 64] [--batch 32] [--threads 2] [--seconds 3] [--compile] [--json]

A step is one tf.function, so that neither fit() nor predict() stands between; with --compile XLA compiles it."""
import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import keras
import numpy as np
import tensorflow as tf

import nets_keras
from work import CLASSES, MOMENTUM, RATE, measure, options


def trained(net, o):
    """A training step and what tells its loss."""
    optimizer = keras.optimizers.SGD(RATE, MOMENTUM)
    optimizer.build(net.trainable_variables)
    last = None

    @tf.function(jit_compile=o.compile)
    def of(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, net(x, training=True)))
        optimizer.apply(tape.gradient(loss, net.trainable_variables), net.trainable_variables)
        return loss

    def step():
        nonlocal last
        last = of(x, y).numpy()

    return step, lambda: float(last)


def predicted(net, o):
    """A prediction."""
    of = tf.function(lambda x: net(x, training=False), jit_compile=o.compile)
    return lambda: of(x).numpy(), None


o = options(__doc__, ("compile", "XLA"))
tf.config.threading.set_intra_op_parallelism_threads(o.threads)
tf.config.threading.set_inter_op_parallelism_threads(1)
keras.utils.set_random_seed(1)
net = nets_keras.of(o.net, o.size, CLASSES)
x = tf.constant(np.random.default_rng(1).uniform(-1, 1, (o.batch, o.size, o.size, 3)).astype("float32"))
y = tf.constant(np.arange(o.batch) % CLASSES)
version = keras.__version__ + " on TensorFlow " + tf.__version__
parameters = sum(int(np.prod(v.shape)) for v in net.trainable_variables)
measure(o, "Keras", "XLA" if o.compile else "graph", version, parameters, *(trained if o.mode == "train" else predicted)(net, o))
