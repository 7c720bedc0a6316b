"""Would the tests notice? `python tests/mutation [MODULE ...]` puts faults into modules, one at a time, and runs tests.

For each module of MODULES a seeded sample of its mutants (`mutants.py`) is written, one after the other, into a copy
of the tree, where that module's fast tests run until one fails. A mutant that no test notices survives: either a test
is missing, or the fault changes nothing that anybody could see, and `equivalent.yaml` says why. What was found is kept
in `build/mutation`, so that an interrupted check goes on; `report.md` is written from it.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from mutants import sample

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KEPT = ROOT / "build" / "mutation"
EQUIVALENT = HERE / "equivalent.yaml"
REPORT = HERE / "report.md"
SEED, NUMBER = 9, 40  # of the sample; mutants a module
MUST = 0.9  # share that is noticed, equivalent mutants left aside
PATIENCE = 8  # times as long as without a fault, and never less than half a minute: then it hangs, and is noticed

# Module -> words for pytest; a module of compiled loops is run as plain Python
MODULES = {
    "lib/claims.py": ["tests/test_claims.py"],
    "lib/runs.py": [*(f"tests/test_{name}.py" for name in ("runs", "fingerprint", "memory")), "-k", "not system_kills"],
    "lib/perturb.py": ["tests/test_perturb.py", "-k", "not quickly"],
    "lib/data/variants.py": ["tests/test_variants.py"],
    "lib/kernels/naive.py": ["tests/test_kernels.py", "-k", "not plain_python"],
    "lib/kernels/cpu.py": ["tests/test_kernels.py", "-k", "not plain_python"],
    "lib/kernels/scans.py": ["tests/test_kernels.py", "-k", "not plain_python"],
    "lib/kernels/delays.py": ["tests/test_delay_gradients.py", "tests/test_kernels.py", "-k", "not plain_python"],
    "lib/kernels/product.py": ["tests/test_product.py"],
    "lib/kernels/lanes.py": ["tests/test_lanes.py"],
}
AS_PYTHON = ("lib/perturb.py", "lib/data/variants.py", "lib/kernels/scans.py", "lib/kernels/delays.py")


def copy_of_tree(folder: Path) -> Path:
    """The files as they are now, but for what git ignores."""
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    tree = folder / "tree"
    for name in (name for name in names if (ROOT / name).exists()):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name)
    return tree


def run_tests(tree: Path, words: list[str], limit: float) -> tuple[str, str, float]:
    """pytest in a forked process, which has the libraries already.

    Args:
        limit: seconds of processor time that it may take; how much else goes on here does not matter.

    Returns:
        "passed", "failed" or "hung"; the last lines; the time that it took.
    """
    log = tree.parent / "log"
    child = os.fork()
    if child == 0:
        os.setsid()
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(tree)
        sys.path[0:0] = [str(tree)]
        os.environ["PYTHONPATH"] = str(tree)
        import pytest

        resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit)))
        code = pytest.main(["-x", "-q", "--no-header", "--tb=line", "-p", "no:cacheprovider", "-p", "no:xdist", *words])
        os._exit(min(int(code), 125))
    _, status, used = os.wait4(child, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what it may have started
    hung = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)
    state = "passed" if status == 0 else "hung" if hung else "failed"
    return state, "\n".join(log.read_text(errors="replace").splitlines()[-6:]), used.ru_utime + used.ru_stime


def check(module: str, number: int) -> None:
    """Run what is not known yet of one module; this process is its own, see `main`."""
    import hypothesis, numba, pytest, scipy.stats, sklearn, torch  # noqa: E401, F401, I001 - once for all forks

    torch.set_num_threads(1)
    source = (ROOT / module).read_text()
    chosen = sample(source, number, SEED)
    known = read_known(module)
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        tree = copy_of_tree(Path(folder))
        (tree / module).write_text(ast.unparse(ast.parse(source)))
        for _ in range(2):  # the first may compile
            state, end, usual = run_tests(tree, MODULES[module], 1200)
            if state != "passed":
                raise SystemExit(f"{module}: its tests {state} without a fault:\n{end}")
        print(f"{module}: {len(chosen)} mutants, tests take {usual:.1f} s", flush=True)
        for mutant in chosen:
            if mutant.name not in known:
                (tree / module).write_text(mutant.source)
                known[mutant.name] = run_tests(tree, MODULES[module], max(30, PATIENCE * usual))[:2]
                write_known(module, known)
                print(f"  {known[mutant.name][0]:7s} {mutant.name}", flush=True)


def _kept(module: str) -> Path:
    """Where the outcomes of a module are kept: of this source and these tests."""
    texts = [(ROOT / word).read_bytes() for word in MODULES[module] if word.endswith(".py")]
    key = hashlib.sha256(json.dumps(MODULES[module]).encode() + b"".join(texts)).hexdigest()[:12]
    return KEPT / f"{Path(module).stem}-{key}.json"


def read_known(module: str) -> dict[str, list[str]]:
    """Name of a mutant -> outcome and last lines. What older tests noticed, newer ones are taken to notice."""
    known = {}
    for path in KEPT.glob(f"{Path(module).stem}-*.json"):
        old = json.loads(path.read_text())
        known |= old if path == _kept(module) else {k: v for k, v in old.items() if v[0] != "passed"}
    return known


def write_known(module: str, known: dict) -> None:
    """Keep the outcomes."""
    KEPT.mkdir(parents=True, exist_ok=True)
    temporary = _kept(module).with_suffix(".new")
    temporary.write_text(json.dumps(known, indent=1))
    temporary.replace(_kept(module))


def equivalents() -> dict[str, str]:
    """Name of a mutant -> why it changes nothing that could be seen."""
    return {
        name: why for names in (yaml.safe_load(EQUIVALENT.read_text()) or {}).values() for name, why in names.items()
    }


def outcomes(module: str, number: int) -> dict[str, str]:
    """Name of a mutant of the sample -> "noticed", "survived", "equivalent" or "not run"."""
    words = {"passed": "survived", "failed": "noticed", "hung": "noticed"}
    known, same = read_known(module), equivalents()
    found = {}
    for mutant in sample((ROOT / module).read_text(), number, SEED):
        word = words[known[mutant.name][0]] if mutant.name in known else "not run"
        found[mutant.name] = "equivalent" if word == "survived" and mutant.name in same else word
    return found


def report(number: int) -> str:
    """Markdown: how many were noticed of each module, and every one that was not."""
    lines = ["# Would the tests notice a fault?", "", "Written by `python tests/mutation`.", ""]
    lines += ["| module | mutants | noticed | equivalent | survived | not run |", "|---|---|---|---|---|---|"]
    found = {module: list(outcomes(module, number).items()) for module in MODULES}
    for module, each in found.items():
        n = {word: sum(w == word for _, w in each) for word in ("noticed", "equivalent", "survived", "not run")}
        share = f" ({100 * n['noticed'] / max(1, len(each) - n['equivalent'] - n['not run']):.0f} %)"
        lines.append(
            f"| {module} | {len(each)} | {n['noticed']}{share} | {n['equivalent']} | {n['survived']} | {n['not run']} |"
        )
    same = equivalents()
    for module, each in found.items():
        rest = [(name, word) for name, word in each if word in ("survived", "equivalent")]
        if rest:
            lines += ["", f"## {module}", ""]
            lines += [
                f"- `{name}`: {f'equivalent: {same[name]}' if word == 'equivalent' else word}" for name, word in rest
            ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Each module in a process of its own, so that none sees another's libraries or settings."""
    parser = argparse.ArgumentParser(prog="python tests/mutation", description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help=f"of {', '.join(MODULES)}")
    parser.add_argument("--number", type=int, default=NUMBER, help=f"mutants a module (default {NUMBER})")
    parser.add_argument("--report", action="store_true", help="only write report.md")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        return check(args.one, args.number)
    for module in [] if args.report else args.modules or MODULES:
        if module not in MODULES:
            parser.error(f"{module}: choose from {', '.join(MODULES)}")
        plain = {"NUMBA_DISABLE_JIT": "1"} if module in AS_PYTHON else {}
        words = [sys.executable, str(HERE), "--one", module, "--number", str(args.number)]
        subprocess.run(words, env=os.environ | plain | {"BRC_HEADLESS": "1"}, check=False)
    REPORT.write_text(report(args.number))
    print(REPORT)


if __name__ == "__main__":
    main()
