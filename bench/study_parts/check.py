"""bench/study --check: the figures, the sentences and the report, on runs that nobody ran and whose figures are known by hand."""
import copy, json, os, subprocess, tempfile, types, unittest
import xml.etree.ElementTree as xml

from . import charts, figures, kept, processes, readers, report, systems, tables, words

COMMON = {"data": "leaves, 100 training and 10 validation pictures, fingerprint 0", "size": 64, "epochs": 3, "batch": 32, "device": "cpu", "threads": 2, "cpu": "a processor"}


def a_run(key, seed, accuracies, seconds=4.0, wait=1.0, validation=1.0, peak=1000.0, others=0.0):
    """A run whose loss is 1 - its accuracy."""
    epochs = [{"epoch": i, "loss": 1 - a, "accuracy": a, "val_loss": 1 - a, "val_accuracy": a, "seconds": seconds, "wait": wait, "validation": validation} for i, a in enumerate(accuracies, 1)]
    return {"system": key, "seed": seed, "settings": COMMON, "version": "a version", "how": "somehow", "wall": 20.0, "peak_mb": peak, "others": others, "epochs": epochs}


def a_study(*runs, why=None):
    return figures.Figures(systems.systems(), {(run["system"], run["seed"]): run for run in runs}, why or {}, COMMON)


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
        self.assertIn("1 of 2 seeds come there", tables.markdown(tables.table_of_seconds(f)))

    def test_same_digits(self):
        f = a_study(a_run("ours_pytorch", 1, (0.5, 0.6, 0.7)), a_run("ours_pytorch_exact", 1, (0.5, 0.6, 0.7 + 1e-12)))
        self.assertEqual(figures.same_digits(f.row("ours_pytorch_exact"), f.row("ours_pytorch")), (1, (1, 3)))


class WordsCheck(unittest.TestCase):
    def said(self, *runs, why=None):
        f = a_study(*runs, why=why)
        return words.headline(f) + "\n" + "\n".join(s for _, sentences in words.conclusions(f) for s in sentences)

    def test_better(self):
        said = self.said(*three("torch", 0.9, seconds=8.0, peak=900.0), *three("ours_pytorch", 0.95, seconds=2.0, peak=100.0))
        self.assertIn("Lamina (pytorch) comes to a higher accuracy than PyTorch: 95.00 % against 90.00 %", said)
        self.assertIn("is 4 times as fast as PyTorch: 2.00 s an epoch against 8.00 s", said)
        self.assertIn("PyTorch needs 9 times as much memory as Lamina (pytorch): 900 MB against 100 MB", said)
        self.assertIn("sooner", said)

    def test_worse(self):
        said = self.said(*three("torch", 0.95, seconds=2.0, peak=100.0), *three("ours_pytorch", 0.9, seconds=8.0, peak=900.0))
        for sentence in ("a LOWER accuracy than PyTorch: 90.00 % against 95.00 %", "is 4 times SLOWER than PyTorch", "PyTorch needs 9 times less memory than Lamina (pytorch)", "3 times LATER"):
            self.assertIn(sentence, said)

    def test_chance(self):
        said = self.said(*three("torch", 0.9), *three("ours_pytorch", 0.905))   # 0.5 points, and twice the standard error is 1.63
        self.assertIn("learns as well as PyTorch", said)
        self.assertIn("1.63 points", said)
        self.assertIn("with 1 seed nobody can tell", self.said(a_run("torch", 1, (0.9,) * 3), a_run("ours_pytorch", 1, (0.95,) * 3)))

    def test_exactness(self):
        runs = three("ours_pytorch", 0.9)
        replicas = [{**copy.deepcopy(run), "system": "ours_pytorch_exact"} for run in runs]
        self.assertIn("to the last digit, in every epoch of 3 seeds", self.said(*runs, *replicas))
        replicas[1]["epochs"][2]["loss"] += 1e-15
        self.assertIn("does NOT have the digits of Lamina (pytorch): they part with seed 2 in epoch 3", self.said(*runs, *replicas))

    def test_doubts(self):
        said = self.said(a_run("torch", 1, (0.9,) * 3, others=0.3), why={"keras": "not installed"})
        self.assertIn("runs of 3 epochs; the study's figures beside them are those of 100 epochs", said)
        self.assertIn("up to 30 % of the processors", said)
        self.assertIn("One seed says nothing of chance", said)
        self.assertIn("too much for these times to be trusted", words.headline(a_study(a_run("torch", 1, (0.9,) * 3, others=0.3), a_run("ours_pytorch", 1, (0.9,) * 3))))
        self.assertIn("Nothing is said of what has not run", said)
        self.assertIn("there is nothing to compare", said)


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
        f = figures.Figures(alone, {("torch", 1): a_run("torch", 1, (0.9,) * 3)}, {}, COMMON)
        html, main = self.page(f)
        self.assertNotIn("Table II:", html)                              # it would have no rows
        self.assertEqual(len(main.findall(".//figure")), 4)

    def test_all_at_100_percent(self):
        axis = charts.Axis(100, 100, 6)
        self.assertEqual((axis.low, axis.high, axis.at(100)), (99, 100, 1))
        html, _ = self.page(a_study(a_run("torch", 1, (1.0,) * 3)))
        self.assertIn('>90 %</text>', html)
        self.assertIn('>100 %</text>', html)

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
