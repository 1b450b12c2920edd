"""simulation.py - what the simulated experiments share: runs of the simulator, a CSV, a PNG, a table."""

import argparse
import csv
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def count(text):
    number = float(text)
    if not 1 <= number <= 4e9 or number != int(number):
        raise argparse.ArgumentTypeError(f"got '{text}', allowed is a whole number from 1 to 4e9, such as 1e6")
    return int(number)


def parser(program, description, requests=1e6, requests_help="of each run"):
    """`requests`: how many there are if the user does not say; None: he cannot."""
    parser = argparse.ArgumentParser(prog=program, description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("SLUICE_BIN", os.path.join(ROOT, "build", "release", "bin"))
    parser.add_argument("--bin", default=default, help="directory of the built programs (%(default)s)")
    parser.add_argument("--out", default=os.path.join(ROOT, "build"), help="directory of the results (%(default)s)")
    if requests is not None:
        parser.add_argument("--requests", type=count, default=int(requests), help=f"{requests_help} (%(default)g)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at a time (%(default)s)")
    return parser


def parse(parser):
    """What the user typed, checked."""
    parsed = parser.parse_args()
    parsed.simulator = built(parser, parsed, "simulator")
    os.makedirs(parsed.out, exist_ok=True)
    return parsed


def built(parser, parsed, program):
    """The path of a program of ours."""
    path = os.path.join(parsed.bin, program)
    if not os.access(path, os.X_OK):
        parser.error(f"{path} is not there: build it first (cmake --preset release && cmake --build --preset release "
                     f"--target {program}), or say where it is with --bin")
    return path


def options(program, description, **requests):
    return parse(parser(program, description, **requests))


def sweep(parsed, vary, *arguments):
    """All combinations of `vary` ({flag: values}); a list of results, each a dictionary."""
    command = [parsed.simulator, "sweep", "-j", str(parsed.jobs), "--json", "-"]
    for flag, values in vary.items():
        command += ["--vary", f"{flag}={','.join(str(value) for value in values)}"]
    command += [str(argument) for argument in arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit(f"failed: {' '.join(command)}")
    return json.loads(done.stdout)


def _flat(result):
    row = {}
    for key, value in result.items():
        if isinstance(value, dict):
            row.update({f"{key}_{name}": inner for name, inner in value.items()})
        elif not isinstance(value, list):
            row[key] = value
    return row


def save(parsed, name, results):
    """NAME.csv, a row per result."""
    rows = [_flat(result) for result in results]
    columns = list(dict.fromkeys(key for row in rows for key in row if key != "events_per_s"))
    path = os.path.join(parsed.out, f"{name}.csv")
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    print(f"wrote {path}", file=sys.stderr)


def plot(parsed, name, *arguments, **options):
    """NAME.png, as `draw` draws it."""
    path = os.path.join(parsed.out, f"{name}.png")
    draw(path, *arguments, **options)
    print(f"wrote {path}", file=sys.stderr)


def draw(path, title, panels, note="simulated; modelled costs", paired=False, log_x=False):
    """`panels`: [(heading, x label, y label, log y, {line: [(x, y)]})], one beside the other.

    `paired`: of each two lines the second is dashed, in the colour of the first.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    canvas, axes = pyplot.subplots(ncols=len(panels), figsize=(5.5 * len(panels), 4.5), squeeze=False)
    canvas.suptitle(title)
    for axis, (heading, x_label, y_label, log_y, lines) in zip(axes[0], panels):
        for i, (label, points) in enumerate(lines.items()):
            style = {"color": f"C{i // 2}", "linestyle": ("-", "--")[i % 2]} if paired else {}
            axis.plot([x for x, _ in points], [y for _, y in points], marker="o", markersize=3, label=label, **style)
        axis.set_title(heading)
        axis.set_xlabel(x_label)
        axis.set_ylabel(y_label)
        if log_x:
            axis.set_xscale("log")
        if log_y:
            axis.set_yscale("log")
        elif all(y >= 0 for points in lines.values() for _, y in points):
            axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    canvas.text(0.5, 0.005, note, ha="center", fontsize=7, color="grey")
    canvas.tight_layout(rect=(0, 0.02, 1, 1))
    canvas.savefig(path, dpi=120)


def table(headings, rows):
    """As docs/results.md has them."""
    print("| " + " | ".join(headings) + " |")
    print("| " + " | ".join("---" for _ in headings) + " |")
    for row in rows:
        print("| " + " | ".join(f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row) + " |")


def lines(results, label, x, y):
    """{label of a result: [(x, y)]}, in the order of the results."""
    grouped = {}
    for result in results:
        grouped.setdefault(label(result), []).append((result[x], result[y]))
    return grouped
