"""The experiments draw what was measured: a sweep of a user's own, Danian's pick, and Calisto with as few requests as asked."""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = ""
# As policies_bench prints it: flat, linear.
BENCHMARKS = {"benchmarks": [{"name": f"{case}<{policy}>/{n}", "cpu_time": ns}
                             for case in ("PickWarm", "PickNobodyRanHere")
                             for policy, n, ns in (("MemoizedPick", 4, 0.5), ("MemoizedPick", 64, 0.5),
                                                   ("ScanPick", 4, 4.0), ("ScanPick", 64, 64.0),
                                                   ("LruPick", 4, 0.25), ("LruPick", 64, 0.25))]}


def run(*words):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)


def script(name, *words):
    return run("/usr/bin/python3", "-B", os.path.join(ROOT, "scripts", "experiments", name), *words)


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class Experiments(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.simulator = os.path.join(BIN, "simulator")

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def is_png(self, path):
        with open(path, "rb") as file:
            self.assertEqual(file.read(8), b"\x89PNG\r\n\x1a\n", path)

    def test_a_sweep_is_drawn(self):
        done = run(self.simulator, "sweep", "--requests", 2000, "--service", "exp:10us", "--vary", "load=0.2,0.4",
                   "--vary", "congestion=standing-queue,delay", "--csv", self.path("sweep.csv"))
        self.assertEqual(done.returncode, 0, done.stderr)
        drawn = script("plot_sweep.py", self.path("sweep.csv"))
        self.assertEqual(drawn.returncode, 0, drawn.stderr)
        self.is_png(self.path("sweep.png"))
        self.assertIn("lines: congestion standing-queue; congestion delay\n", drawn.stdout)
        wrong = script("plot_sweep.py", self.path("sweep.csv"), "--x", "seed")
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("'seed', allowed is a number that was varied: load", wrong.stderr)

    def test_danian_draws_what_a_pick_costs(self):
        programs = self.path("bin")
        os.mkdir(programs)
        os.symlink(self.simulator, os.path.join(programs, "simulator"))
        bench = os.path.join(programs, "policies_bench")
        with open(bench, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\ncat << 'END'\n{json.dumps(BENCHMARKS)}\nEND\n")
        os.chmod(bench, 0o755)
        done = script("danian.py", "--bin", programs, "--out", self.directory.name, "--requests", 1000)
        self.assertEqual(done.returncode, 0, done.stderr)
        for name in ("danian", "danian_pick"):
            self.is_png(self.path(f"{name}.png"))
        costs = {(row["pick"], row["core"], int(row["kthreads"])): float(row["ns"]) for row in rows_of(self.path("danian_pick.csv"))}
        self.assertEqual(len(costs), 12)
        self.assertEqual(costs["scan", "nobody ran there", 64], 64)
        self.assertEqual(costs["memoized", "its last kthread", 64], 0.5)

    def test_calisto_has_as_many_requests_as_asked(self):
        done = script("calisto.py", "--bin", BIN, "--out", self.directory.name, "--requests", 700)
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = rows_of(self.path("calisto.csv"))
        self.assertEqual({row["flows"] for row in rows}, {"700"})
        self.assertEqual({row["requests"] for row in rows if row["phase"] == "cold"}, {"700"})
        self.assertEqual({row["requests"] for row in rows if row["phase"] == "warm"}, {"2800"})

    def test_what_cannot_be_run_is_refused(self):
        for words in (["danian.py", "--requests", "nan"], ["danian.py", "--requests", "-5"], ["growth.py", "--requests", "10"]):
            self.assertEqual(script(*words, "--bin", BIN, "--out", self.directory.name).returncode, 2, words)


parser = argparse.ArgumentParser()
parser.add_argument("--bin", required=True)
BIN = parser.parse_args().bin
sys.argv = sys.argv[:1]
unittest.main()
