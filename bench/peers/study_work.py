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


def write_followed(o, framework, version, weights, pictures, labels, rates, losses, losses_single):
    """followed.safetensors with the initial weights, "0.weight", "0.bias", ... in the order of the layers that have some and in the framework's own layout, the labels, and of the steps the rates and the losses, these
    in double precision and in single; order.txt with the pictures, one a line, in the order they were learned. `weights` are (name, numpy array)."""
    import numpy as np

    os.makedirs(o.follow, exist_ok=True)
    tensors = [(name, "F32", np.asarray(w, np.float32)) for name, w in weights]
    tensors += [("rates", "F64", np.asarray(rates, np.float64)), ("losses", "F64", np.asarray(losses, np.float64)), ("losses_single", "F64", np.asarray(losses_single, np.float64))]
    tensors.append(("labels", "I32", np.asarray(labels, np.int32)))
    header, at = {"__metadata__": {"framework": framework, "version": version, "batch": str(o.batch)}}, 0
    for name, dtype, values in tensors:
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(o.follow, "followed.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(values.tobytes() for *_, values in tensors))
    with open(os.path.join(o.follow, "order.txt"), "w") as file:
        file.writelines(path + "\n" for path in pictures)
