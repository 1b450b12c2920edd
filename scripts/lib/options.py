"""options.py - what the command lines of our experiments share."""

import argparse
import os
import subprocess

from load_run import Policy
from rig import Placement


def positive(text):
    return _number(float, text, lambda value: 0 < value < 1e8, "a number above 0 and below 100 million")


def flow_count(text):
    return _number(int, text, lambda value: 1 <= value <= 700_000, "1 to 700000")


def _number(convert, text, fits, allowed):
    try:
        value = convert(text)
    except ValueError:
        value = None
    if value is None or not fits(value):
        raise argparse.ArgumentTypeError(f"got '{text}', allowed is {allowed}")
    return value


def list_of(convert):
    def parse(text):
        try:
            return [convert(word) for word in text.split(",")]
        except (ValueError, argparse.ArgumentTypeError) as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parse


policies = list_of(Policy)


def parser(program, description):
    """With the options that scripts/lib/experiment.sh passes."""
    result = argparse.ArgumentParser(prog=program, description=description, allow_abbrev=False)
    for name in ("--bin", "--work"):
        result.add_argument(name, help=argparse.SUPPRESS)
    result.add_argument("--check-arguments", action="store_true", help=argparse.SUPPRESS)
    return result


def parse(result):
    """The options, once all that can be known before the first run is known to be right."""
    options = result.parse_args()
    _check_files(result, options)
    try:
        Placement()
    except RuntimeError as error:
        result.exit(1, f"{result.prog}: {error}\n")
    if options.bin:
        _check_policies(result, options)
    return options


def _check_files(result, options):
    """Refuses result files that could not be written in the end, by opening them."""
    for flag, path in (("--json", options.json), ("--plot", options.plot)):
        if path is None or (os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)):
            continue  # pipes and devices are opened once, when there is something to say
        existed = os.path.lexists(path)
        try:
            with open(path, "ab"):
                pass
        except OSError as error:
            result.error(f"{flag}: got '{path}' ({error.strerror}), allowed is a file that can be written")
        if not existed:
            os.unlink(path)
    if options.plot and not options.plot.endswith(".png"):
        result.error(f"--plot: got '{options.plot}', allowed is a name that ends in .png")


def _check_policies(result, options):
    """iokerneld knows the policies, and how to say what is wrong with a name."""
    for policy in options.policies:
        command = [os.path.join(options.bin, "iokerneld"), "--check", *policy.flags()]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode != 0:
            result.error(f"--policies: {policy}: {done.stderr.strip()}")


def default_output(name):
    """build/NAME of this checkout, which exists once something was built."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    os.makedirs(os.path.join(root, "build"), exist_ok=True)
    return os.path.join(root, "build", name)
