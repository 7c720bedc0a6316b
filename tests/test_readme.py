"""The list of promises is that of the tests, and so is the list of mutants."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import pytest
import readme

sys.path.append(str(Path(__file__).parent / "mutation"))
import mutants


def test_the_list_of_promises_is_current(request):
    """tests/README.md has every test with its docstring and, where this run collects all tests, its number of cases:
    write it anew with `python tests/readme.py`."""
    written = readme.rows(readme.OUTPUT.read_text())
    expected = {
        (path.relative_to(readme.TESTS.parent).as_posix(), test): promise
        for path in readme.files()
        for test, promise in readme.promises(path).items()
    }
    assert {key: row[0] for key, row in written.items()} == expected
    cases = readme.count([item.nodeid for item in request.session.items])
    if {file for file, _ in cases} == {file for file, _ in expected}:
        assert {key: int(row[1]) for key, row in written.items()} == dict(cases)


def test_every_test_states_its_promise():
    """No test is without a docstring."""
    assert [
        (path.name, test) for path in readme.files() for test, promise in readme.promises(path).items() if not promise
    ] == []


def test_no_promise_is_listed_as_broken():
    """No result in the list is a failure, and what was skipped has a reason."""
    results = [row[2] for row in readme.rows(readme.OUTPUT.read_text()).values()]
    assert [result for result in results if re.search("fail|error", result.split("(")[0])] == []
    assert [result for result in results if "skipped ()" in result] == []


def test_results_of_later_runs_count_more(tmp_path):
    """A test that a later run skips keeps its result; of several cases each outcome is counted."""
    case = '<testcase classname="tests.test_a" name="test_{}">{}</testcase>'
    skipped = '<skipped message="Skipped: no GPU here"/>'
    first = [case.format("one[a]", ""), case.format("one[b]", skipped), case.format("two", "")]
    second = [case.format("two", skipped), case.format("three", "<failure/>")]
    for name, cases in (("a.xml", first), ("b.xml", second)):
        (tmp_path / name).write_text(f"<testsuite>{''.join(cases)}</testsuite>")
    found = readme.results([tmp_path / "a.xml", tmp_path / "b.xml"])
    assert found["tests/test_a.py", "test_one"] == "1 passed, 1 skipped (no GPU here)"
    assert (found["tests/test_a.py", "test_two"], found["tests/test_a.py", "test_three"]) == ("passed", "failure")
    assert readme.count(["t.py::test_a[1]", "t.py::test_a[2::3]", "t.py::test_b"]) == Counter(
        {("t.py", "test_a"): 2, ("t.py", "test_b"): 1}
    )


SOURCE = '''
def f(a: int, b=1):
    """Text with 5 and a < b."""
    for i in range(a, b):
        if a < b and not i:
            return min(a, i) + 1
    raise ValueError(f"{a + b} is wrong")
'''


def test_mutants_are_one_fault_each():
    """Operators, constants, bounds and conditions of code are changed, one at a time; no docstring, annotation or
    message is; names are different, and each mutant can be compiled."""
    some = mutants.mutants(SOURCE)
    names = [mutant.name for mutant in some]
    assert len(set(names)) == len(names) == len({mutant.source for mutant in some}) == 10
    for mutant in some:
        compile(mutant.source, "mutant", "exec")
        assert (
            "Text with 5 and a < b" in mutant.source
            and "a: int" in mutant.source
            and "{a + b} is wrong" in mutant.source
        )
    for fault in (
        "a <= b",
        "b or not i",
        "not not i",
        "max(a, i)",
        "+ 2",
        "+ 0",
        "- 1",
        "range(a, b - 1)",
        "b=2",
        "b=0",
    ):
        assert any(fault in name.split("  ->  ")[1] for name in names), fault


@pytest.mark.parametrize("number", [3, 5])
def test_the_sample_of_mutants_is_stable(number):
    """A seed decides it; a change elsewhere in the module leaves the rest of the choice as it is."""
    chosen = [mutant.name for mutant in mutants.sample(SOURCE, number, 9)]
    assert chosen == [mutant.name for mutant in mutants.sample(SOURCE + "\nx = y\n", number, 9)]
    assert len(chosen) == number and chosen[:3] != [mutant.name for mutant in mutants.sample(SOURCE, 3, 8)]
