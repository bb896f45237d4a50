"""The study's network in Keras, as its users write it: study_keras.py DATA [--size 64] [--epochs 15] [--batch 32] [--seed 1] [--threads 2] [--parallel] [--follow DIR]

A Sequential "SimpleCNN", ImageDataGenerator with shear, zoom and flips, flow_from_directory with a worker process for each thread, ExponentialDecay (smooth, 0.9 an epoch), categorical cross-entropy.
--parallel: MirroredStrategy over all GPUs; where there is none, over two logical devices of the CPU.

It prints one line of JSON an epoch. How long it waits for data cannot be told from outside, since fit() takes a batch within its compiled step: its last line has the seconds of a step whose batch lies
in memory, measured after the training. Needs tensorflow, keras and scipy."""
import os

import study_work

o = study_work.options(__doc__)
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import contextlib, statistics, sys, time

import keras, numpy as np, tensorflow as tf
from keras import layers
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from study_work import DECAY, DROPOUT, EVALUATION_BATCH, RATE, SHEAR, ZOOM

REPLICAS, PROBE_STEPS = 2, 40


def simple_cnn(classes, dropout=DROPOUT):
    blocks = [layer for channels in (32, 64, 128) for layer in (layers.Conv2D(channels, 3, padding="same", activation="relu"), layers.MaxPooling2D(2))]
    head = [layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dropout(dropout), layers.Dense(classes, activation="softmax")]
    return keras.Sequential([keras.Input((o.size, o.size, 3)), *blocks, *head], name="SimpleCNN")


def compiled(model, steps):
    rate = keras.optimizers.schedules.ExponentialDecay(RATE, decay_steps=steps, decay_rate=DECAY)
    model.compile(keras.optimizers.Adam(rate), "categorical_crossentropy", metrics=["accuracy"])
    return model


def batches(part, size, shuffle, workers, **changes):
    with contextlib.redirect_stdout(sys.stderr):
        found = ImageDataGenerator(rescale=1 / 255, **changes).flow_from_directory(os.path.join(o.data, part), (o.size, o.size), batch_size=size, shuffle=shuffle, seed=o.seed)
    found.workers, found.use_multiprocessing = workers, workers > 1
    return found


class EpochTimer(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.begin = time.perf_counter()

    def on_test_begin(self, logs=None):
        self.middle = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        values = [float(logs[name]) for name in ("loss", "accuracy", "val_loss", "val_accuracy")]
        study_work.say_epoch(epoch + 1, *values, self.middle - self.begin, None, time.perf_counter() - self.middle)


class StepTimer(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.ends = []

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(time.perf_counter())


def train(strategy, workers):
    training = batches("train", o.batch, True, workers, shear_range=SHEAR, zoom_range=ZOOM, horizontal_flip=True)
    validation = batches("val", EVALUATION_BATCH, False, 1)
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = compiled(simple_cnn(training.num_classes), len(training))
    model.fit(training, validation_data=validation, epochs=o.epochs, verbose=0, callbacks=[EpochTimer()])
    timer = StepTimer()
    model.fit(tf.data.Dataset.from_tensors(training[0]).repeat(PROBE_STEPS), verbose=0, callbacks=[timer])
    study_work.say(step=statistics.median(b - a for a, b in zip(timer.ends[9:], timer.ends[10:])), steps=len(training))


def follow():
    """One epoch step by step, for bench_follow, in double precision and in single."""
    pictures = batches("train", o.batch, False, 1)
    first = simple_cnn(pictures.num_classes, dropout=0)
    pictures.index_array = np.random.default_rng(o.seed).permutation(pictures.samples)

    rates = []

    def losses(number):
        keras.config.set_dtype_policy(number)
        keras.config.set_floatx(number)
        model = compiled(simple_cnn(pictures.num_classes, dropout=0), len(pictures))
        model.set_weights(first.get_weights())
        for i in range(len(pictures)):
            keras.config.set_floatx("float32")                 # the generator multiplies in this
            x, y = pictures[i]
            keras.config.set_floatx(number)                    # and the loss is computed in this
            if number == "float64":
                rates.append(float(model.optimizer.learning_rate))
            model.reset_metrics()                              # else train_on_batch tells a mean
            yield float(model.train_on_batch(x, y)[0])

    learning = [layer for layer in first.layers if layer.weights]
    weights = [(f"{i}.{name}", w.numpy()) for i, layer in enumerate(learning) for name, w in zip(("weight", "bias"), layer.weights)]
    paths = [os.path.join("train", pictures.filenames[i]) for i in pictures.index_array]
    labels = pictures.classes[pictures.index_array]
    double, single = list(losses("float64")), list(losses("float32"))
    study_work.write_followed(o, "keras", keras.__version__, weights, paths, labels, rates, double, single)


def main():
    tf.config.threading.set_intra_op_parallelism_threads(o.threads)
    gpus = tf.config.list_physical_devices("GPU") if o.device == "cuda" else []
    if o.device == "cuda" and not gpus:
        sys.exit("TensorFlow finds no GPU on this machine" + ("" if tf.test.is_built_with_cuda() else ": tensorflow-cpu is installed, which knows none"))
    if o.parallel and len(gpus) == 1:
        sys.exit("MirroredStrategy divides a batch among GPUs, and this machine has one")
    strategy, how = None, "one device"
    if o.parallel and not gpus:
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * REPLICAS)
        how = f"MirroredStrategy over {REPLICAS} logical devices of the CPU: TensorFlow finds no GPU here"
    if o.parallel:
        strategy = tf.distribute.MirroredStrategy([f"{kind}:{i}" for kind, n in (("GPU", len(gpus)), ("CPU", 0 if gpus else REPLICAS)) for i in range(n)])
        how = f"MirroredStrategy over {len(gpus)} GPUs" if gpus else how
    keras.utils.set_random_seed(o.seed)
    if o.follow:
        return follow()
    study_work.say(version=f"Keras {keras.__version__}, TensorFlow {tf.__version__}", how=how, replicas=strategy.num_replicas_in_sync if strategy else 1)
    train(strategy, o.threads)


if __name__ == "__main__":
    main()
