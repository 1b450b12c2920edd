"""options.py - what the command lines of our experiments share."""

import argparse
import os

from load_run import Policy


def positive(text):
    value = float(text)
    if not 0 < value < 1e8:
        raise argparse.ArgumentTypeError(f"got {text}, allowed is a number above 0")
    return value


def flow_count(text):
    value = int(text)
    if not 1 <= value <= 700_000:
        raise argparse.ArgumentTypeError(f"got {text}, allowed is 1 to 700000")
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
    result = argparse.ArgumentParser(prog=program, description=description)
    for name in ("--bin", "--work"):
        result.add_argument(name, help=argparse.SUPPRESS)
    result.add_argument("--check-arguments", action="store_true", help=argparse.SUPPRESS)
    return result


def check_files(result, options):
    """Refuses result files that could not be written in the end."""
    for path in (options.json, options.plot):
        if path and not os.path.isdir(os.path.dirname(os.path.abspath(path))):
            result.error(f"{path}: there is no such directory")
    if options.plot and not options.plot.endswith(".png"):
        result.error(f"--plot: got '{options.plot}', allowed is a name that ends in .png")


def default_output(name):
    """build/NAME of this checkout, which exists once something was built."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    os.makedirs(os.path.join(root, "build"), exist_ok=True)
    return os.path.join(root, "build", name)
