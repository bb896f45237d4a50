"""bench/study --check: the figures, the sentences and the report, on runs that nobody ran and whose figures are known by hand."""
import copy, json, os, subprocess, tempfile, types, unittest
import xml.etree.ElementTree as xml

from . import charts, figures, kept, processes, readers, report, systems, tables, words

COMMON = {"data": "leaves, 100 training and 10 validation pictures, fingerprint 0", "size": 64, "epochs": 3, "batch": 32, "device": "cpu", "threads": 2, "cpu": "a processor"}


def a_run(key, seed, accuracies, seconds=4.0, wait=1.0, validation=1.0, peak=1000.0, others=0.0):
    """A run whose loss is 1 - its accuracy."""
    epochs = [{"epoch": i, "loss": 1 - a, "accuracy": a, "val_loss": 1 - a, "val_accuracy": a, "seconds": seconds, "wait": wait, "validation": validation} for i, a in enumerate(accuracies, 1)]
    return {"system": key, "seed": seed, "settings": COMMON, "version": "a version", "how": "somehow", "wall": 20.0, "peak_mb": peak, "others": others, "epochs": epochs}


def a_study(*runs, why=None, seeds=3):
    return figures.Figures(systems.systems(), {(run["system"], run["seed"]): run for run in runs}, why or {}, COMMON, seeds)


def three(key, best, **more):
    """Seeds 1, 2, 3 whose best accuracies are best - 0.01, best and best + 0.01: a standard deviation of 0.01."""
    return [a_run(key, seed, (0.5, best + 0.01 * (seed - 2), 0.4), **more) for seed in (1, 2, 3)]


class FiguresCheck(unittest.TestCase):
    def test_one_run(self):
        run = figures.OfRun(a_run("torch", 1, (0.5, 0.9, 0.89)))
        self.assertEqual((run.accuracy, run.best_epoch, run.last_accuracy), (0.9, 2, 0.89))
        self.assertAlmostEqual(run.loss, 0.1)
        self.assertEqual((run.seconds, run.epoch, run.data, run.compute, run.validation), (15, 4, 1, 3, 1))
        self.assertEqual(run.to_target, 10)                              # 88 % are there after two epochs of 5 s

    def test_one_slow_epoch(self):
        told = a_run("torch", 1, (0.5, 0.6, 0.7), seconds=2.0)
        told["epochs"][1].update(seconds=9.0, wait=7.0, validation=3.0)
        run = figures.OfRun(told)
        self.assertEqual((run.seconds, run.epoch, run.shortest, run.longest, run.data, run.compute, run.validation), (18, 2, 2, 9, 1, 1, 1))
        f = a_study(told, a_run("keras", 1, (0.5, 0.6, 0.7)))
        self.assertEqual((f.row("torch").uneven(), f.row("keras").uneven()), ((2, 9), None))
        self.assertIn("with these: PyTorch from 2.0 to 9.0 s. Totals and times to 88 % contain that", words.on_uneven(f)[0])

    def test_over_seeds(self):
        row = a_study(*three("torch", 0.9)).row("torch")
        self.assertAlmostEqual(row.mean("accuracy"), 0.9)
        self.assertAlmostEqual(row.spread("accuracy"), 0.01)
        self.assertEqual(tables.spread(row, "accuracy", 100), "90.00 ± 1.00")
        self.assertEqual(len(row.curve()), 3)
        self.assertIsNone(a_study(a_run("torch", 1, (0.9,) * 3)).row("torch").spread("accuracy"))

    def test_target_that_not_all_seeds_reach(self):
        f = a_study(a_run("torch", 1, (0.5, 0.9, 0.9)), a_run("torch", 2, (0.5, 0.6, 0.7)))
        self.assertIsNone(f.row("torch").to_target())
        self.assertEqual(tables.of_them(f.row("torch")), "10, 1 of 2 seeds")
        f = a_study(a_run("torch", 1, (0.5, 0.9, 0.9)), a_run("torch", 2, (0.9, 0.6, 0.7)), a_run("keras", 1, (0.5, 0.6, 0.7)))
        self.assertEqual([tables.of_them(f.row(key)) for key in ("torch", "keras")], ["8 ± 4", "0 of 1 seed"])   # 10 and 5 s: 7.5 ± 3.54

    def test_student(self):
        """Two rows of three seeds each: 4 degrees of freedom if both spread alike, 2 if one does not spread at all."""
        f = a_study(*three("torch", 0.9), *three("ours_pytorch", 0.9), *[a_run("keras", seed, (0.8,) * 3) for seed in (1, 2, 3)], a_run("ours_keras", 1, (0.8,) * 3))
        noise = lambda a, b: figures.difference(f.row(a), f.row(b), "accuracy")[1]
        self.assertAlmostEqual(noise("torch", "ours_pytorch"), 2.776 * 0.01 * (2 / 3)**0.5)
        self.assertAlmostEqual(noise("torch", "keras"), 4.303 * 0.01 * (1 / 3)**0.5)
        self.assertEqual((noise("keras", "keras"), noise("keras", "ours_keras")), (0, None))
        self.assertEqual([figures.student(n) for n in (0.5, 1, 4, 1000)], [12.706, 12.706, 2.776, 1.98])
        self.assertAlmostEqual(figures.student(12), 2.179, delta=0.001)      # of a table, and halfway between those of 10 and 15

    def test_seeds_that_are_not_wanted(self):
        f = a_study(*three("torch", 0.9), seeds=1)
        self.assertEqual((list(f.row("torch").runs), f.seeds(), [row.key for row in f.short() if row]), ([1], 1, []))

    def test_same_digits(self):
        f = a_study(a_run("ours_pytorch", 1, (0.5, 0.6, 0.7)), a_run("ours_pytorch_exact", 1, (0.5, 0.6, 0.7 + 1e-12)))
        self.assertEqual(figures.same_digits(f.row("ours_pytorch_exact"), f.row("ours_pytorch")), (1, (1, 3)))


class WordsCheck(unittest.TestCase):
    def said(self, *runs, **more):
        f = a_study(*runs, **more)
        return words.headline(f) + "\n" + "\n".join(s for _, sentences in words.conclusions(f) for s in sentences)

    def test_better(self):
        said = self.said(*three("torch", 0.9, seconds=8.0, peak=900.0), *three("ours_pytorch", 0.95, seconds=2.0, peak=100.0))
        self.assertIn("Lamina (pytorch) comes to a higher accuracy than PyTorch: 95.00 % against 90.00 %", said)
        self.assertIn("is 4.0 times as fast as PyTorch: 2.00 s for the median epoch against 8.00 s", said)
        self.assertIn("PyTorch needs 9.0 times as much memory as Lamina (pytorch): 900 MB against 100 MB", said)
        self.assertIn("sooner", said)

    def test_worse(self):
        said = self.said(*three("torch", 0.95, seconds=2.0, peak=100.0), *three("ours_pytorch", 0.9, seconds=8.0, peak=900.0))
        for sentence in ("a LOWER accuracy than PyTorch: 90.00 % against 95.00 %", "is 4.0 times SLOWER than PyTorch", "PyTorch needs 9.0 times less memory than Lamina (pytorch)", "3.0 times LATER"):
            self.assertIn(sentence, said)

    def test_chance(self):
        said = self.said(*three("torch", 0.9), *three("ours_pytorch", 0.905))   # 0.5 points, and 2.776 standard errors are 2.27
        self.assertIn("Lamina (pytorch) cannot be told from PyTorch with these seeds: 90.50 % against 90.00 %, 0.50 points more, where seeds alone make up to 2.27 points.", said)
        self.assertIn("these seeds cannot tell Lamina's accuracy from its", said)
        self.assertNotIn("as well as", said)
        self.assertIn("5.00 points more; with 1 seed nobody can tell", self.said(a_run("torch", 1, (0.9,) * 3), a_run("ours_pytorch", 1, (0.95,) * 3)))

    def test_chance_of_replicas(self):
        told = lambda *runs: words.on_replicas(a_study(*runs))[0]
        alone, apart, far = three("ours_pytorch", 0.9), three("ours_dataparallel", 0.905), three("ours_dataparallel", 0.8)
        self.assertEqual(told(*alone, *apart), "Lamina (pytorch, 2 dataparallel): 1.00 times the speed of Lamina (pytorch), 0.50 points more accuracy, where seeds alone make up to 2.27 points.")
        self.assertIn("10.00 points less accuracy, which is more than seeds alone make (2.27 points).", told(*alone, *far))
        self.assertIn("0.50 points more accuracy; with 1 seed nobody can tell that from chance.", told(alone[0], apart[0]))

    def test_ratio(self):
        """By hand."""
        self.assertEqual([words.ratio(v) for v in (102.6, 20.0, 19.99, 3.46, 9 / 3, 1.999, 1.0, 0.987)], ["102", "20", "19.9", "3.4", "3.0", "1.99", "1.00", "0.98"])
        self.assertEqual([words.ratio(v, up=True) for v in (3.41, 1.201, 2.0)], ["3.5", "1.21", "2.0"])
        self.assertEqual([words.times(v, "more", "less") for v in (1.09, 1.1, 0.92, 0.9)], [None, "1.10 times more", None, "1.12 times less"])
        text = self.said(a_run("torch", 1, (0.9,) * 3, seconds=205.2), a_run("ours_pytorch", 1, (0.9,) * 3, seconds=2.0))
        self.assertIn("PyTorch takes 102 times as long for the median epoch", text)
        self.assertIn("102 times as fast", text)

    def test_every_pair(self):
        """Each of ours is compared, also those whose arithmetic is that of the original."""
        runs = [three(key, 0.9) for key in ("torch_parallel", "keras_parallel", "ours_pytorch_exact")] + [three("ours_dataparallel", 0.885), three("ours_mirrored", 0.88)]
        said = self.said(*sum(runs, []))
        self.assertIn("2 of 3 of ours are within 1.5 points of their original's mean, or above it; Lamina (keras, 2 mirrored) is 2.00 points below Keras MirroredStrategy.", said)
        for subject, sentences in words.conclusions(a_study(*sum(runs, []))):
            if subject in ("Accuracy", "Time", "Memory"):
                for name in ("Lamina (keras, 2 mirrored)", "Lamina (pytorch, 2 dataparallel)", "Lamina (pytorch, 2 exact)"):
                    self.assertTrue(any(name in s and ("Keras Mirrored" in s or "PyTorch Data" in s) for s in sentences[subject == "Accuracy":]), (subject, name))

    def test_original_that_does_not_always_get_there(self):
        """PyTorch is there first, but not with every seed: after 5 and 10 s."""
        torch = [a_run("torch", 1, (0.9, 0.9, 0.9)), a_run("torch", 2, (0.5, 0.9, 0.9)), a_run("torch", 3, (0.5, 0.6, 0.7))]
        keras, ours = [a_run("keras", seed, (0.5, 0.6, 0.9)) for seed in (1, 2, 3)], [a_run("ours_keras", seed, (0.9,) * 3, seconds=2.0) for seed in (1, 2, 3)]
        some = "PyTorch is there with 2 of 3 seeds, after 8 s in their mean."
        self.assertEqual(words.on_first(a_study(*torch, *keras, *ours)), ["88 % validation accuracy: Lamina (keras) is there after 3 s, the first of ours with an original's recipe; "
                         "the first of the originals that are there with every seed is Keras, after 15 s, so that Lamina is there 5.0 times sooner; " + some])
        self.assertEqual(words.on_first(a_study(*torch)), ["88 % validation accuracy: " + some])
        self.assertIn("with every seed in 3 epochs: PyTorch (2 of 3 seeds).", words.on_target(a_study(*torch, *keras))[1])
        self.assertEqual(words.on_first(a_study(torch[2])), [])

    def test_exactness(self):
        runs = three("ours_pytorch", 0.9)
        replicas = [{**copy.deepcopy(run), "system": "ours_pytorch_exact"} for run in runs]
        self.assertIn("to the last digit, in every epoch of 3 seeds", self.said(*runs, *replicas))
        replicas[1]["epochs"][2]["loss"] += 1e-15
        self.assertIn("does NOT have the digits of Lamina (pytorch): they part with seed 2 in epoch 3", self.said(*runs, *replicas))

    def test_doubts(self):
        said = self.said(a_run("torch", 1, (0.9,) * 3, others=0.3), why={"keras": "not installed"})
        self.assertIn("runs of 3 epochs; the study's figures beside them are those of 100 epochs", said)
        self.assertIn("up to 30 % of the cores", said)
        self.assertIn("More than 5 % were taken beside: PyTorch, seed 1 (30 %).", said)
        self.assertIn("One seed says nothing of chance", said)
        self.assertIn("too much for these times to be trusted", words.headline(a_study(a_run("torch", 1, (0.9,) * 3, others=0.3), a_run("ours_pytorch", 1, (0.9,) * 3))))
        self.assertIn("Nothing is said of what has not run: Lamina (pytorch),", said)
        self.assertIn("Keras (not installed)", said)
        self.assertIn("there is nothing to compare", said)

    def test_seed_that_failed(self):
        why = {"torch": "seed 3 failed: out of memory"}
        self.assertIn("Not all seeds have run: PyTorch has 2 of 3 (seed 3 failed: out of memory).", self.said(*three("torch", 0.9)[:2], *three("ours_pytorch", 0.9), why=why))
        self.assertIn("Not all seeds have run: PyTorch has 2 of 3.", self.said(*three("torch", 0.9)[:2], *three("ours_pytorch", 0.9)))
        self.assertIn("So far 2 of 3 seeds have run.", self.said(*three("torch", 0.9)[:2], *three("ours_pytorch", 0.9)[:2]))
        self.assertNotIn("out of memory", self.said(*three("torch", 0.9), why=why))
        line = report.csv_page(a_study(*three("torch", 0.9)[:2], why=why)).splitlines()[3]
        self.assertTrue(line.startswith("PyTorch,,,,,") and line.endswith(",seed 3 failed: out of memory"), line)

    def test_runs_that_were_not_made_alike(self):
        made = lambda run, **by: {**run, **by}
        torch, ours, others = three("torch", 0.9), three("ours_pytorch", 0.9), three("ours_keras", 0.9)
        unlike = lambda *runs: words.on_unlike(a_study(*runs))
        self.assertEqual(unlike(*torch, made(ours[0], program="a"), ours[1], made(others[0], program="a"), made(torch[0], program="b")), [])
        self.assertEqual(unlike(made(ours[0], program="a"), made(ours[1], program="b"), ours[2], made(others[0], program="b")),
                         ["Runs of ours differ in their program: a is that of Lamina (pytorch) with seed 1; b is that of Lamina (pytorch) with seed 2 and Lamina (keras)."])
        self.assertEqual(unlike(made(torch[0], program="a"), made(torch[1], program="b"), made(torch[2], program="b")),
                         ["Runs of PyTorch differ in their program: a is that of PyTorch with seed 1; b is that of PyTorch with seeds 2 and 3."])
        self.assertEqual(unlike(torch[0], made(torch[1], version="PyTorch 3")), ["Runs of PyTorch differ in their versions: a version is that of PyTorch with seed 1; PyTorch 3 is that of PyTorch with seed 2."])


class ReportCheck(unittest.TestCase):
    def setUp(self):
        self.o = types.SimpleNamespace(data="leaves & <more>", size=64, epochs=3, seeds=3, batch=32, threads=2, device="cpu", out="study", only=None)

    def page(self, f):
        """The page as XML, which finds every tag that is not closed."""
        html = report.html_page(f, self.o)
        return html, xml.fromstring(html.partition("<main>")[2].join(("<main>", "")).partition("</body>")[0])

    def test_html(self):
        f = a_study(*three("torch", 0.9), *three("ours_pytorch", 0.91), *three("torch_parallel", 0.9), *three("ours_pytorch_exact", 0.91), why={"keras": "failed: no <keras>"})
        html, main = self.page(f)
        for needle in ("<script", "src=", "href=", "http"):
            self.assertNotIn(needle, html)                               # it needs nothing else
        self.assertIn("prefers-color-scheme: dark", html)
        self.assertIn("failed: no &lt;keras&gt;", html)
        self.assertEqual(len(main.findall(".//table")), 5)
        self.assertEqual(len(main.findall(".//figure")), 6)
        for title in ("Table I", "Table II", "Table III"):
            self.assertTrue(any(title in "".join(h.itertext()) for h in main.iter("h2")))
        table = main.find(".//table")
        self.assertEqual([c.text for c in table.findall("tbody/tr")[0]][:4], ["PyTorch", "90.47 %", "0.5567", "90.00 ± 1.00"])

    def test_nothing_has_run(self):
        html, main = self.page(a_study(why={"torch": "not installed: bench/peers/install.sh"}))
        self.assertIn("not installed: bench/peers/install.sh", html)
        self.assertEqual(main.findall(".//figure"), [])

    def test_of_some_systems(self):
        alone = [s for s in systems.systems() if s.key == "torch"]
        f = figures.Figures(alone, {("torch", 1): a_run("torch", 1, (0.9,) * 3)}, {}, COMMON, 3)
        html, main = self.page(f)
        self.assertNotIn("Table II:", html)                              # it would have no rows
        self.assertEqual(len(main.findall(".//figure")), 4)

    def test_all_at_100_percent(self):
        axis = charts.Axis(100, 100, 6)
        self.assertEqual((axis.low, axis.high, axis.at(100)), (99, 100, 1))
        html, _ = self.page(a_study(a_run("torch", 1, (1.0,) * 3)))
        self.assertIn('>90 %</text>', html)
        self.assertIn('>100 %</text>', html)

    def test_notes(self):
        """What stands below the tables is told of what has run only, in both forms of the report."""
        wheel, gloo = {"version": "PyTorch 2.15.0+cu132"}, {"how": "DistributedDataParallel through gloo: no GPU here"}
        f = a_study({**a_run("torch", 1, (0.9,) * 3), **wheel}, {**a_run("torch_parallel", 1, (0.9,) * 3), **gloo}, a_run("ours_pytorch", 1, (0.9,) * 3), a_run("keras", 1, (0.9,) * 3))
        text, html = report.markdown_page(f, self.o), self.page(f)[0]
        once = ("RandomAffine fills", "which brings CUDA along", "Keras's whole process has 40", "reads and decodes its pictures once")
        for note, times in ((tables.DATA, 1), ("PyTorch DataParallel is DistributedDataParallel through gloo: no GPU here.", 2), *((note, 1) for note in once)):
            self.assertEqual(text.count(note), times, note)
            self.assertEqual(html.count(charts.escaped(note)), times + (note == tables.DATA), note)      # the chart has it too
        bare = report.markdown_page(a_study(a_run("torch", 1, (0.9,) * 3)), self.o)
        for note in ("through gloo", "memory of the GPU", *once):
            self.assertNotIn(note, bare)
        self.assertIn("worker processes", bare)
        f.common = {**COMMON, "device": "cuda"}
        self.assertIn("The memory of the GPU is not counted.", report.markdown_page(f, self.o))

    def test_wait_that_is_not_known(self):
        self.page(a_study(a_run("keras", 1, (0.5, 0.6, 0.7), wait=None)))

    def test_fifteen_epochs_are_not_a_hundred(self):
        text = report.markdown_page(a_study(*three("torch", 0.9)), self.o)
        self.assertIn("study, 100 epochs: accuracy", text)
        self.assertIn("here, 3 epochs: accuracy", text)
        self.assertIn("| PyTorch | 1751.16 | 17.51 | 15.0 ± 0.0 |", text)
        self.assertNotIn("here, 100 epochs", text)

    def test_csv(self):
        lines = report.csv_page(a_study(*three("torch", 0.9), why={"keras": "not, installed"})).splitlines()
        first = dict(zip(lines[0].split(","), lines[1].split(",")))
        self.assertEqual([first[name + "_epoch_seconds"] for name in ("median", "shortest", "longest")], ["4", "4", "4"])
        self.assertEqual(sum(line.startswith("PyTorch,a version,somehow,") for line in lines), 3)
        self.assertTrue(any(line.startswith("Keras,") and line.endswith('"not, installed"') for line in lines))


class RunsCheck(unittest.TestCase):
    def test_kept_and_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            kept.Folder(folder, COMMON).keep(a_run("torch", 1, (0.5, 0.6, 0.7)))
            self.assertEqual(list(kept.Folder(folder, COMMON).runs), [("torch", 1)])
            with self.assertRaisesRegex(ValueError, "another study .epochs: 3. than this one .15."):
                kept.Folder(folder, {**COMMON, "epochs": 15})
            with open(os.path.join(folder, "runs", "torch-2.json"), "w") as file:
                file.write("{")
            with self.assertRaisesRegex(ValueError, "torch-2.json is no run of a study"):
                kept.Folder(folder, COMMON)
            without = a_run("torch", 2, (0.5, 0.6, 0.7))
            del without["epochs"][0]["val_loss"]
            with open(os.path.join(folder, "runs", "torch-2.json"), "w") as file:
                json.dump(without, file)
            with self.assertRaisesRegex(ValueError, "torch-2.json is no run of a study"):
                kept.Folder(folder, COMMON)
            with kept.alone(folder), self.assertRaisesRegex(ValueError, "another study writes to"):
                kept.alone(folder)
            kept.alone(folder).close()

    def test_peer_lines(self):
        reader = readers.PeerReader()
        for line in ('{"version": "v", "how": "h"}\n', "noise\n", '{"epoch": 1, "seconds": 10, "wait": null}\n', '{"step": 0.5, "steps": 16}\n'):
            reader.look(line)
        epochs, about = reader.result()
        self.assertEqual((epochs[0]["wait"], about["wait"], about["version"]), (2, "by subtraction", "v"))

    def test_peak(self):
        """More memory is asked for at once, the same again only when it is due."""
        size, asked, peak, real = {1: 100}, [], processes.Peak(), (processes.resident, processes.memory_of)
        try:
            processes.resident = size.__getitem__
            processes.memory_of = lambda pid: asked.append(pid) or size[pid] // 2
            peak.look([1])
            peak.due = float("inf")
            peak.look([1])
            self.assertEqual((len(asked), peak.bytes), (1, 50))
            size[1] = 200
            peak.look([1])
            size[1] = 150
            peak.look([1])
            self.assertEqual((len(asked), peak.bytes), (2, 100))
            peak.due = 0
            peak.look([1])
            self.assertEqual((len(asked), peak.bytes), (3, 100))
        finally:
            processes.resident, processes.memory_of = real

    def test_others(self):
        """A process that works beside a run counts, and the run's own does not."""
        beside = subprocess.Popen(["sh", "-c", "i=0; while test $i -lt 100000; do i=$((i+1)); done; sleep 60"], start_new_session=True)
        try:
            its = lambda found: sum(seconds for (number, _), seconds in found.items() if int(number) == beside.pid)
            while its(processes.worked()) < 0.02:
                self.assertIsNone(beside.poll())
            self.assertEqual(its(processes.worked(beside.pid)), 0)
        finally:
            processes.end(beside)

    def test_process(self):
        """A child that takes 64 MB is counted with its parent, and nothing outlives a run that is given up."""
        taker = "import os, sys, time\nx = b'1' * (64 << 20)\nprint('here', flush=True)\ntime.sleep(60 if 'stay' in sys.argv else 0.7)\n"
        with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
            script.write(taker)
            script.flush()
            cores = sorted(os.sched_getaffinity(0))[:1]
            said = []
            done = processes.run(["sh", "-c", f"python3 {script.name}; exit 3"], cores, {}, said.append)
            self.assertEqual((done.code, done.lines), (3, ["here\n"]))
            self.assertIn("here\n", said)
            self.assertGreater(done.peak, 64 << 20)
            leaders = []

            def give_up(line):
                if line:
                    leaders.extend(pid for name in os.listdir("/proc") if name.isdigit() and (pid := int(name)) == processes.session_of(name) and os.path.exists(f"/proc/{pid}/cmdline") and
                                   script.name in open(f"/proc/{pid}/cmdline").read())
                    raise KeyboardInterrupt

            with self.assertRaises(KeyboardInterrupt):
                processes.run(["sh", "-c", f"python3 {script.name} stay; exit 0"], cores, {}, give_up)
            self.assertEqual(len(leaders), 1)
            self.assertEqual(processes.tree(leaders[0]), [])


def run():
    """Returns the exit code."""
    suite = unittest.TestSuite(map(unittest.defaultTestLoader.loadTestsFromTestCase, (FiguresCheck, WordsCheck, ReportCheck, RunsCheck)))
    return 0 if unittest.TextTestRunner(verbosity=1).run(suite).wasSuccessful() else 1
