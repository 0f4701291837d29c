"""`python -m benchmarks.peers [NAME ...]`: needs the environment that `make bench` makes."""

import argparse
from importlib import import_module

import torch

from benchmarks import tables
from benchmarks.common import RESULTS, write
from benchmarks.peers import NAMES


def main() -> None:
    """Runs the comparisons that are asked for, or all of them."""
    parser = argparse.ArgumentParser(prog="benchmarks.peers", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], default=[])
    options = parser.parse_args()
    torch.set_num_threads(2)
    for name in options.names or NAMES:
        result = import_module(f"benchmarks.peers.{name}").run()
        write(RESULTS / "peers" / f"{name}.json", result)
        for row in result["rows"]:
            print(f"{name}: {row['what']}: {row['ours']:.0f} against {row['theirs']:.0f} {row['unit']}, {row['ratio']}")
    tables.write_page()


if __name__ == "__main__":
    main()
