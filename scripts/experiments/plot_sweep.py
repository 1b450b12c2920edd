#!/usr/bin/python3 -B
"""plot_sweep.py - draws the CSV of a sweep: a load, or whatever was varied, against p50, p99, p99.9, cores and efficiency.

    simulator sweep --vary congestion=standing-queue,delay --vary load=0.2,0.4,0.6 --csv sweep.csv
    plot_sweep.py sweep.csv                      # sweep.png; a line per congestion policy
"""

import argparse
import csv
import os
import sys

import simulation

FIGURES = [("median", "p50_us", "p50 in us", True), ("99 %", "p99_us", "p99 in us", True),
           ("99.9 %", "p999_us", "p99.9 in us", True), ("cores", "cores_used", "cores used", False),
           ("CPU", "efficiency", "work / cores held", False)]
FIRST_FIGURE = "mean_us"  # the columns before it are inputs


def refuse(sentence):
    print(f"plot_sweep.py: {sentence}", file=sys.stderr)
    sys.exit(2)


def read(path):
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        refuse(f"{path}: {error}")
    wanted = ["load", "rate_per_s", FIRST_FIGURE] + [column for _, column, _, _ in FIGURES]
    missing = [column for column in wanted if not rows or column not in rows[0]]
    if missing:
        refuse(f"{path}: not the CSV of a sweep, without {', '.join(missing)}")
    return rows


def varied(rows):
    inputs = list(rows[0])[:list(rows[0]).index(FIRST_FIGURE)]
    if all(row["load"] for row in rows):
        inputs.remove("rate_per_s")  # it follows from the load
    return [column for column in inputs if len({row[column] for row in rows}) > 1]


def is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def axis(rows, asked):
    """The column of the x axis: the load, if it was varied, else the first number that was."""
    numbers = [column for column in varied(rows) if all(is_number(row[column]) for row in rows)]
    if asked and asked not in numbers:
        refuse(f"--x: got '{asked}', allowed is a number that was varied: {', '.join(numbers) or 'none'}")
    if not numbers:
        refuse("no number was varied: there is nothing to draw")
    return asked or ("load" if "load" in numbers else numbers[0])


def main():
    parser = argparse.ArgumentParser(prog="plot_sweep.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", help="what `simulator sweep --csv` wrote")
    parser.add_argument("--x", metavar="COLUMN", help="of the x axis (load)")
    parser.add_argument("--out", help="the PNG (the CSV's name with .png)")
    parsed = parser.parse_args()
    out = parsed.out or os.path.splitext(parsed.csv)[0] + ".png"
    if not os.path.isdir(os.path.dirname(out) or "."):
        refuse(f"{out}: there is no directory {os.path.dirname(out)}")
    rows = read(parsed.csv)
    x = axis(rows, parsed.x)
    others = [column for column in varied(rows) if column != x]

    def label(row):
        return ", ".join(f"{column} {row[column] or 'none'}" for column in others) or "all"

    numbers = [row | {column: float(row[column]) for column in [x] + [name for _, name, _, _ in FIGURES]} for row in rows]
    numbers.sort(key=lambda row: row[x])
    lines = list(dict.fromkeys(label(row) for row in numbers))
    same = {column: rows[0][column] for column in ("cores", "service") if column not in others + [x]}
    simulation.draw(out, ", ".join(f"{column} {value}" for column, value in same.items()),
                    [(heading, x, y_label, log_y, simulation.lines(numbers, label, x, column))
                     for heading, column, y_label, log_y in FIGURES])
    print(f"wrote {out}; x: {x}; lines: {'; '.join(lines)}")


main()
