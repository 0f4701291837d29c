"""`python -m benchmarks.cost [--install]`: what things cost a user here; writes benchmarks/results/cost.json."""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import tables
from benchmarks.common import RESULTS, write
from urbild.data import write_folder

FILES = 20_000
SIDE = 256


def urbild(*words: str, cwd: Path) -> tuple[float, float, str]:
    """Runs a command: wall seconds, peak memory in GB of its process tree, and what it printed."""
    command = [str(Path(sys.executable).parent / "urbild"), *words]
    begun = time.perf_counter()
    with (cwd / "log").open("w+") as log:
        process = subprocess.Popen(command, cwd=cwd, stdout=log, stderr=subprocess.STDOUT)
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, family_memory(process.pid))
            time.sleep(0.05)
        log.seek(0)
        text = log.read()
    if process.returncode:
        msg = f"{' '.join(command)} failed: {text[-2000:]}"
        raise SystemExit(msg)
    return time.perf_counter() - begun, peak, text


def family_memory(pid: int) -> float:
    """Proportional memory of a process and its children, in GB."""
    total, queue = 0.0, [pid]
    while queue:
        one = queue.pop()
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1e6
            for thread in Path(f"/proc/{one}/task").iterdir():
                queue += [int(child) for child in (thread / "children").read_text().split()]
        except OSError:
            continue
    return total


def surfaces(directory: Path, count: int) -> Path:
    """Normal surfaces at 256 px as PNG files, drawn once and copied where many are wanted."""
    made = write_folder("surfaces", directory / "made", seed=0)
    drawn = sorted((made / "train" / "good").glob("*.png"))
    target = directory / f"images-{count}"
    target.mkdir()
    for number in range(count):
        path = target / f"{number:05d}.png"
        if number < len(drawn):
            Image.open(drawn[number]).resize((SIDE, SIDE)).save(path)
        else:
            shutil.copyfile(target / f"{number % len(drawn):05d}.png", path)
    shutil.rmtree(made)
    return target


def help_seconds() -> float:
    """The median processor time of `urbild --help` over nine runs."""
    times = []
    for _ in range(9):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([str(Path(sys.executable).parent / "urbild"), "--help"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return float(np.median(times))


def install() -> tuple[float, float]:
    """Seconds and GB of a core install in a fresh environment."""
    with tempfile.TemporaryDirectory() as place:
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        pip = [f"{place}/bin/pip", "install", "--quiet", "-c", "constraints.txt"]
        subprocess.run([*pip, "torch"], check=True)
        subprocess.run([*pip, "."], check=True)
        seconds = time.perf_counter() - begun
        size = sum(path.lstat().st_size for path in Path(place).rglob("*") if not path.is_symlink()) / 1e9
    return seconds, size


def run(*, with_install: bool) -> list[dict[str, Any]]:
    """All rows."""
    rows = [
        {"what": "`urbild --help`", "measured": f"{help_seconds():.2f} s of processor time", "wanted": "under 0.5 s"}
    ]
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        seconds, peak, _ = urbild("demo", cwd=directory)
        rows.append({"what": "`urbild demo`", "measured": f"{seconds:.0f} s, {peak:.2f} GB", "wanted": "under 90 s"})
        few = surfaces(directory, 200)
        seconds, peak, text = urbild("fit", str(few), "--out", "run", "--seed", "0", cwd=directory)
        working = next((line for line in text.splitlines() if "working size" in line), "")
        what = f"fit of 200 images of {SIDE}x{SIDE}, defaults ({working.strip()})"
        rows.append({"what": what, "measured": f"{seconds:.0f} s, {peak:.2f} GB", "wanted": "under 5 min"})
        many = surfaces(directory, FILES)
        seconds, peak, _ = urbild("score", "run", str(many), "--out", "scores.csv", cwd=directory)
        what = f"score of {FILES:,} files of {SIDE}x{SIDE} from disk, the same model ({working.strip()})"
        rows.append({"what": what, "measured": f"{FILES / seconds:.0f} images/s", "wanted": "at least 30 images/s"})
        rows.append(
            {"what": "peak memory of that, workers included", "measured": f"{peak:.2f} GB", "wanted": "under 2 GB"}
        )
    if with_install:
        seconds, size = install()
        rows.append({"what": "core install", "measured": f"{size:.2f} GB, {seconds:.0f} s", "wanted": "written down"})
    return rows


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(prog="benchmarks.cost", description=__doc__)
    parser.add_argument("--install", action="store_true", help="also make a fresh environment and weigh it")
    options = parser.parse_args()
    os.environ.pop("OMP_NUM_THREADS", None)
    rows = run(with_install=options.install)
    protocol = (
        "Whole processes on 2 cores with nothing beside them; memory is the proportional set of the process tree."
    )
    write(RESULTS / "cost.json", {"protocol": protocol, "rows": rows})
    for row in rows:
        print(f"{row['what']}: {row['measured']} (wanted: {row['wanted']})")
    tables.write_page()


if __name__ == "__main__":
    main()
