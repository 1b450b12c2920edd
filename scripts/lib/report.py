"""report.py - what an experiment says of its host, its tables and its JSON."""

import json
import os
import platform


def _read(path, default=""):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return default


def _cpu_model():
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def host_json(placement, port):
    return {
        "cpus": os.cpu_count(),
        "cpu_model": _cpu_model(),
        "kernel": platform.release(),
        "cores": {"slots": placement.slots, "cpus": placement.apps},
        "oversubscribed": placement.oversubscribed,
        "placement": placement.json(),
        "port": port,
        "hugepages": int(_read("/proc/sys/vm/nr_hugepages", "0")),
        "load_average": os.getloadavg()[0],
    }


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)
        file.write("\n")


class Table:
    """Prints rows as they come, in columns of fixed width; the first is aligned to the left."""

    def __init__(self, *columns):
        self.widths = [max(width, len(title)) for title, width in columns]
        self.titles = [title for title, _ in columns]

    def header(self):
        print(self._line(self.titles))
        print("-" * (sum(self.widths) + 2 * (len(self.widths) - 1)), flush=True)

    def row(self, *cells):
        print(self._line(["-" if cell is None else str(cell) for cell in cells]), flush=True)

    def _line(self, cells):
        pairs = zip(cells, self.widths)
        return "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(pairs)).rstrip()


def number(value, digits=0):
    """1234567.8 -> 1 234 568; None stays None."""
    if value is None:
        return None
    return f"{value:,.{digits}f}".replace(",", " ")


def print_reasons(runs, label):
    """Why a cell is empty, once per reason."""
    reasons = {}
    for run in runs:
        for figure, why in (run.get("why") or {}).items():
            reasons.setdefault(why, []).append(f"{label(run)} {figure}")
    for why, where in reasons.items():
        names = ", ".join(where[:4]) + (f" and {len(where) - 4} more" if len(where) > 4 else "")
        print(f"  not given: {names}: {why}")
