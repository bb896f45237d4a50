"""What the study's peers share: the command line, the lines they print, and what they leave behind for bench_follow. Only the standard library."""
import argparse, json, os, struct

RATE, DECAY, DROPOUT = 1e-3, 0.9, 0.2
SHEAR, ZOOM = 0.2, 0.2
EVALUATION_BATCH = 128


def options(description):
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("data", metavar="DATA", help="holds train/ and val/ with class folders")
    for name, default in (("size", 64), ("epochs", 15), ("batch", 32), ("seed", 1), ("threads", 2)):
        p.add_argument("--" + name, type=int, default=default)
    p.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    p.add_argument("--parallel", action="store_true", help="several replicas that divide each batch")
    p.add_argument("--follow", metavar="DIR", help="one epoch without augmentation and dropout; initial weights, order and losses go into DIR")
    o = p.parse_args()
    if o.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    return o


def say(**line):
    """One line of JSON on standard output, at once."""
    print(json.dumps(line), flush=True)


def say_epoch(epoch, loss, accuracy, val_loss, val_accuracy, seconds, wait, validation):
    """`seconds` are those of the training pass with its data, of which `wait` for data (None: it cannot be told), `validation` those of the validation pass."""
    say(epoch=epoch, loss=loss, accuracy=accuracy, val_loss=val_loss, val_accuracy=val_accuracy, seconds=seconds, wait=wait, validation=validation)


def write_followed(folder, framework, weights, pictures, labels, losses, batch):
    """followed.safetensors with the initial weights by name, in the framework's own layout, the labels and the loss of each step; order.txt with the pictures, one a line, in the order they were learned.
    `weights` are (name, numpy array)."""
    import numpy as np

    os.makedirs(folder, exist_ok=True)
    tensors = [(name, "F32", w.shape, np.ascontiguousarray(w, np.float32).tobytes()) for name, w in weights]
    tensors.append(("labels", "I32", (len(labels),), np.asarray(labels, np.int32).tobytes()))
    tensors.append(("losses", "F32", (len(losses),), np.asarray(losses, np.float32).tobytes()))
    header, at = {"__metadata__": {"framework": framework, "batch": str(batch)}}, 0
    for name, dtype, shape, data in tensors:
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(folder, "followed.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(data for *_, data in tensors))
    with open(os.path.join(folder, "order.txt"), "w") as file:
        file.writelines(path + "\n" for path in pictures)
