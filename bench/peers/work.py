"""What the peers in Python share with work.hpp: the command line, the clock of the steps, and the line that says how fast they were. Only the standard library."""
import argparse, json, statistics, time

CLASSES, RATE, MOMENTUM = 10, 1e-5, 0.9


def options(description, *flags):
    """The command line; `flags` are (name, help) of this peer's own settings."""
    p = argparse.ArgumentParser(description=description)
    p.add_argument("--mode", choices=("train", "predict"), required=True)
    p.add_argument("--net", choices=("leaf", "vgg11", "resnet18", "mobilenetv2"), default="leaf")
    return common_options(p, flags)


def data_options(description, *flags):
    """The command line of what makes batches of the pictures in a folder of class folders."""
    p = argparse.ArgumentParser(description=description)
    p.add_argument("--pictures", required=True)
    return common_options(p, flags)


def common_options(p, flags):
    for name, default in (("size", 64), ("batch", 32), ("threads", 2)):
        p.add_argument("--" + name, type=int, default=default)
    p.add_argument("--seconds", type=float, default=3)
    p.add_argument("--json", action="store_true")
    for name, words in flags:
        p.add_argument("--" + name, action="store_true", help=words)
    return p.parse_args()


def measure_stream(o, peer, settings, version, pictures, sizes):
    """Takes batches for o.seconds, of so many pictures each, and prints the mean: where workers make them ahead they come in bursts. What comes in the first second, and the first 20, do not count."""
    begin = time.perf_counter()
    for cold, _ in enumerate(sizes, 1):
        if cold >= 20 and time.perf_counter() - begin > 1:
            break
    begin, taken = time.perf_counter(), 0
    for n in sizes:
        taken += n
        seconds = time.perf_counter() - begin
        if seconds >= o.seconds:
            break
    speed = taken / seconds
    result = {"peer": peer, "settings": settings, "version": version, "mode": "data", "size": o.size, "batch": o.batch, "threads": o.threads, "pictures": pictures,
              "images_per_s": round(speed, 2), "step_ms_median": round(1e3 * o.batch / speed, 4), "peak_rss_mb": round(peak_rss_mb(), 1)}
    if o.json:
        print(json.dumps(result), flush=True)
    else:
        print(f"{peer} {settings} {o.pictures} to {o.size} x {o.size}, batch {o.batch}: {speed:.1f} images/s, peak {result['peak_rss_mb']:.0f} MB", flush=True)


def peak_rss_mb():
    """In MiB: the kernel's VmHWM, since getrusage would tell the parent's if that was larger."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))


def measure(o, peer, settings, version, parameters, step, loss=None):
    """Calls step() for o.seconds and prints the median. The first steps do not count: five of them, and half a second. `loss` tells that of the last one."""
    begin = time.perf_counter()
    cold = 0
    while cold < 5 or time.perf_counter() - begin < 0.5:
        step()
        cold += 1
    times = []
    begin = last = time.perf_counter()
    while last - begin < o.seconds or len(times) < 3:
        step()
        now = time.perf_counter()
        times.append(now - last)
        last = now
    ms = 1e3 * statistics.median(times)
    result = {"peer": peer, "settings": settings, "version": version, "mode": o.mode, "net": o.net, "size": o.size, "batch": o.batch, "threads": o.threads,
              "parameters": parameters, "images_per_s": round(1e3 * o.batch / ms, 2), "step_ms_median": round(ms, 4), "peak_rss_mb": round(peak_rss_mb(), 1), "steps": len(times)}
    if loss:
        result["loss"] = round(loss(), 4)
    if o.json:
        print(json.dumps(result), flush=True)
    else:
        print(f"{peer} {settings} {o.mode} {o.net} {o.size} x {o.size}, batch {o.batch}, threads {o.threads}: {result['images_per_s']:.1f} images/s, "
              f"{ms:.3f} ms a step (median of {len(times)}), peak {result['peak_rss_mb']:.0f} MB" + (f", loss {result['loss']:.4f}" if loss else ""))
