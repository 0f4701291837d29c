"""`python -m benchmarks.reproduce [CLAIM ...] [--seeds 0 1] [--budget cpu|full] [--again]`: measures what is missing.

A seed that is finished is one file in benchmarks/results and is not measured again.
"""

import argparse
import sys
import time
from importlib import import_module

import torch

from benchmarks import tables
from benchmarks.common import RESULTS, data_root, write
from benchmarks.reproduce import NAMES, Claim


def measure(claim: Claim, seed: int, budget: str) -> None:
    """Measures a seed of a claim and writes its file."""
    begun = time.monotonic()
    lines = []
    for line in claim.run(seed, budget):  # type: ignore[arg-type]
        lines.append(line._asdict())
        print(f"{claim.name} seed {seed}: {line.system} {line.data} {line.metric} {line.value:.4f}", file=sys.stderr)
    result = {
        "claim": claim.name,
        "title": claim.title,
        "protocol": claim.protocol,
        "budget": budget,
        "settings": claim.budgets.get(budget, {}),
        "seed": seed,
        "seconds": round(time.monotonic() - begun, 1),
        "lines": lines,
    }
    write(RESULTS / claim.name / f"{budget}-seed{seed}.json", result)


def main() -> None:
    """Runs the claims that are asked for, or all of them."""
    parser = argparse.ArgumentParser(prog="benchmarks.reproduce", description=__doc__)
    parser.add_argument("claims", nargs="*", choices=[*NAMES, []], default=[])
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--budget", choices=("cpu", "full"), default="cpu")
    parser.add_argument("--again", action="store_true", help="measure finished seeds anew")
    options = parser.parse_args()
    data_root()
    if options.budget == "full" and not torch.cuda.is_available():
        print("not run: no GPU")
        return
    for name in options.claims or NAMES:
        claim: Claim = import_module(f"benchmarks.reproduce.{name}").CLAIM
        for seed in options.seeds or claim.seeds:
            if options.again or not (RESULTS / name / f"{options.budget}-seed{seed}.json").exists():
                measure(claim, seed, options.budget)
    tables.write_page()


if __name__ == "__main__":
    main()
