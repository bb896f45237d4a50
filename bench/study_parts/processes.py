"""Runs one process and what it starts: its lines as they come, the memory of the whole tree, and an end to all of it when somebody wants that."""
import ctypes, os, queue, signal, subprocess, threading, time

SAMPLED_EVERY, SAMPLING = 0.25, 0.01   # seconds; and the part of a core that asking for memory may take


def session_of(pid):
    """The session a process belongs to, or None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return int(stat.read().rpartition(")")[2].split()[3])
    except (OSError, ValueError, IndexError):
        return None


def memory_of(pid):
    """Bytes of one process, what it shares divided among those who share it (PSS); where the kernel does not tell that, all that is resident."""
    for file, field in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        try:
            with open(f"/proc/{pid}/{file}") as lines:
                for line in lines:
                    if line.startswith(field):
                        return 1024 * int(line.split()[1])
        except (OSError, ValueError):
            pass
    return 0


def resident(pid):
    """Bytes that are resident of one process, shared or not: told at once, where memory_of() goes through all its pages (20 ms for PyTorch)."""
    try:
        with open(f"/proc/{pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


class Peak:
    """The most memory that processes took together. It is asked for whenever more is resident than ever before, and else so rarely that the run does not notice."""

    def __init__(self):
        self.bytes, self.most, self.due = 0, 0, 0

    def look(self, pids):
        now, together = time.monotonic(), sum(map(resident, pids))
        if together > 1.01 * self.most or now >= self.due:
            begin = time.process_time()
            self.bytes, self.most = max(self.bytes, sum(map(memory_of, pids))), max(self.most, together)
            self.due = now + (time.process_time() - begin) / SAMPLING


def tree(leader):
    """The processes of the session that `leader` leads."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and session_of(name) == leader]


def worked(leader=None):
    """Seconds that each process worked, with those of the children it waited for, by its number and its birth; this process and the session of the leader are left out. (The ticks that /proc/stat counts
    miss too much of a run's work for a difference.)"""
    found = {}
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{int(name)}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        if int(name) != os.getpid() and int(fields[3]) != leader:
            found[name, fields[19]] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return found


def prepared(cores):
    """What a child does before it begins: it keeps to the cores, and does not outlive this process, even where that is killed."""
    def prepare():
        os.sched_setaffinity(0, cores)
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)                 # PR_SET_PDEATHSIG
    return prepare


class Finished:
    """What a process left: `code`, its `lines`, its last `words` on standard error, `wall` seconds, `peak` bytes of its tree, and what `others` worked meanwhile, as a share of the cores that it had."""

    def __init__(self, code, lines, words, wall, peak, others):
        self.code, self.lines, self.words, self.wall, self.peak, self.others = code, lines, words, wall, peak, others


def end(process):
    """Ends the process and what it started; by force what does not go within five seconds."""
    for how, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, how)
        except ProcessLookupError:
            break
        until = time.monotonic() + patience
        while tree(process.pid) and time.monotonic() < until:
            process.poll()
            time.sleep(0.05)
        if not tree(process.pid):
            break
    process.wait()


def run(command, cores, environment, look):
    """Runs the command on these cores. look(line or None) is called for each line of standard output and four times a second. Whatever is thrown meanwhile ends the process first."""
    begin, beside, peak, lines, words = time.monotonic(), worked(), Peak(), [], []
    came = queue.Queue()
    process = subprocess.Popen(command, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               errors="replace", start_new_session=True, preexec_fn=prepared(cores))

    def read(stream, put):
        for line in stream:
            put(line)

    readers = [threading.Thread(target=read, args=(process.stdout, came.put), daemon=True), threading.Thread(target=read, args=(process.stderr, words.append), daemon=True)]
    try:
        for reader in readers:
            reader.start()
        while True:
            over = process.poll() is not None
            peak.look(tree(process.pid))
            until = time.monotonic() + SAMPLED_EVERY
            while (left := until - time.monotonic()) > 0 and not over:
                try:
                    lines.append(came.get(timeout=left))
                    look(lines[-1])
                except queue.Empty:
                    pass
                over = process.poll() is not None
            look(None)
            if over:
                break
        wall = time.monotonic() - begin
        others = sum(seconds - beside.get(who, 0) for who, seconds in worked(process.pid).items()) / (wall * len(cores))
        if tree(process.pid):                                   # workers that outlive the process they worked for
            end(process)
        for reader in readers:
            reader.join(5)
        while not came.empty():
            lines.append(came.get())
            look(lines[-1])
    except BaseException:
        end(process)
        raise
    return Finished(process.returncode, lines, [line.strip() for line in words if line.strip()], wall, peak.bytes, others)
