"""Install what a release would upload, and use it: part of `make release-check`.

The sdist and the wheel each go into an environment that holds nothing else, once with the newest versions of all
dependencies and once with the lowest. There the README's commands up to the first training run, away from the checkout;
then the page on that training is drawn. The words after the folder of the two files say how torch is installed, which
comes first: its wheel for Linux in the registry is the CUDA build.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.docs.files import write_files
from tests.docs.pages import ROOT, steps_of, text_of
from tests.lowest_versions import lowest_versions

MOST_BYTES = 1_000_000  # of an sdist or a wheel
ENVIRONMENT = ROOT / ".venv-release"


def files_to_upload(folder: Path) -> list[Path]:
    """Return the sdist and the wheel of a folder. Raises SystemExit if one is missing, or larger than 1 MB."""
    found = [*folder.glob("*.tar.gz"), *folder.glob("*.whl")]
    if [path.suffix for path in found] != [".gz", ".whl"]:
        raise SystemExit(f"{folder} needs one sdist and one wheel: run python -m build")
    for path in found:
        size = path.stat().st_size
        print(f"{path.name}: {size:,} bytes")
        if size >= MOST_BYTES:
            raise SystemExit(
                f"{path.name} has {size:,} bytes, at most {MOST_BYTES - 1:,}: include less in pyproject.toml"
            )
    return found


def first_commands(page: str) -> list[tuple[str, ...]]:
    """Return the commands of a page's console blocks, up to the first training."""
    commands = [step.argv for step in steps_of(page, ["console"]) if step.argv[0] == "tdbs"]
    last = next((place for place, command in enumerate(commands) if command[1] == "train"), len(commands))
    return commands[: last + 1]


def install(file: Path, torch: Sequence[str], constraints: Path | None) -> None:
    """Make the environment again, with this file and the dependencies that it names alone."""
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
    python = ENVIRONMENT / "bin/python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    subprocess.run([*pip, *torch], check=True, cwd=ROOT)
    subprocess.run([*pip, *([] if constraints is None else ["--constraint", constraints]), file], check=True)
    subprocess.run([python, "-m", "pip", "check"], check=True)


def use(commands: Sequence[Sequence[str]]) -> None:
    """Run commands by the environment's own tdbs, in a folder with the reader's files, offline."""
    unset = ("PYTHONPATH", "TDBS_MIRROR")  # the checkout's tdbs is not the one that was installed
    env = {name: value for name, value in os.environ.items() if name not in unset}
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder))
        env |= {"HF_HUB_OFFLINE": "1", "HF_HOME": f"{folder}/.hub"}
        for _, *words in commands:
            print("$ tdbs", *words, flush=True)
            subprocess.run([ENVIRONMENT / "bin/tdbs", *words], check=True, cwd=folder, env=env)


def size_of(environment: Path) -> tuple[int, int]:
    """Return how many packages an environment has beside pip, and their bytes."""
    (packages,) = environment.glob("lib/python*/site-packages")
    names = [path for path in packages.glob("*.dist-info") if not path.name.startswith("pip-")]
    return len(names), sum(path.lstat().st_size for path in packages.rglob("*") if not path.is_dir())


def main() -> None:
    """Check the files of a folder; the first that fails ends it."""
    folder, torch = Path(sys.argv[1]).absolute(), sys.argv[2:]
    with tempfile.TemporaryDirectory() as place:
        lowest = Path(place) / "lowest.txt"
        lowest.write_text("\n".join(lowest_versions(text_of("pyproject.toml"), extras=())), encoding="utf-8")
        for file in files_to_upload(folder):
            for versions, constraints in (("newest", None), ("lowest", lowest)):
                begun = time.monotonic()
                install(file, torch, constraints)
                use([*first_commands(text_of("README.md")), ("tdbs", "report")])
                packages, size = size_of(ENVIRONMENT)
                seconds = time.monotonic() - begun
                print(f"{file.name}, {versions} versions: {packages} packages, {size / 1e6:,.0f} MB, {seconds:.0f} s")
    shutil.rmtree(ENVIRONMENT)


if __name__ == "__main__":
    main()
