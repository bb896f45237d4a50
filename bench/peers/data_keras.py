"""bench_data in Keras: data_keras.py --pictures DIR [--size 64] [--batch 32] [--threads 2] [--seconds 3] [--alone] [--json]

ImageDataGenerator and flow_from_directory, with worker processes as fit() has them, one for each thread; --alone: called in turns, as fit() does without workers."""
import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import contextlib, multiprocessing, sys

import keras
from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from work import data_options, measure_stream

o = data_options(__doc__, ("alone", "no worker processes"))
generator = ImageDataGenerator(rescale=1 / 255, shear_range=0.2, zoom_range=0.2, horizontal_flip=True)
with contextlib.redirect_stdout(sys.stderr):
    batches = generator.flow_from_directory(o.pictures, target_size=(o.size, o.size), batch_size=o.batch, class_mode="sparse", seed=1)


def in_turn():
    while True:
        for i in range(len(batches)):
            yield len(batches[i][0])
        batches.on_epoch_end()


def by_workers():
    """What fit() reads its numpy arrays from."""
    batches.workers, batches.use_multiprocessing = o.threads, True
    adapter = PyDatasetAdapter(batches, shuffle=False)
    while True:
        adapter.on_epoch_begin()
        for x, _ in adapter.get_numpy_iterator():
            yield len(x)
        adapter.on_epoch_end()


measure_stream(o, "Keras", "alone" if o.alone else "workers", keras.__version__, batches.samples, in_turn() if o.alone else by_workers())
for worker in multiprocessing.active_children():   # they would complain; waited for, they count as this program's work
    worker.kill()
    worker.join()
os._exit(0)
