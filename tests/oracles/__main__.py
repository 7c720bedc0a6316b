"""Compare with the peers: `python tests/oracles [ARG ...]` makes their environment once, then runs pytest (with ARGs).

`./run_all.sh test --slow` does this too. The environment sees the packages of this one, and has the peers beside them.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"
FOLDER = HERE.parents[1] / "build" / "oracles"


def environment(folder: Path = FOLDER) -> Path:
    """The Python of the peers' environment, which is made if it is not there or the requirements have changed."""
    python, stamp = folder / "bin" / "python", folder / "installed"  # the stamp comes last
    if not stamp.exists() or stamp.read_text() != REQUIREMENTS.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        (packages,) = folder.glob("lib/python*/site-packages")
        (packages / "project.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", str(REQUIREMENTS)]
        subprocess.run([python, *words], check=True)
        stamp.write_text(REQUIREMENTS.read_text())
    return python


if __name__ == "__main__":
    sys.exit(
        subprocess.run(
            [environment(), "-m", "pytest", "-W", "ignore::DeprecationWarning", str(HERE), *sys.argv[1:]],
            cwd=HERE.parents[1],
        ).returncode
    )
