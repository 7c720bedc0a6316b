"""What is installed beside this project, and under which licence."""

from licences import OUTPUT, licence, pins, text


def test_all_licences_are_listed():
    """LICENCES.md has a line for every package of the lock, and says what the installed ones say of themselves (where
    they are of the lock's version: write it anew with `python tests/licences.py`)."""
    written = OUTPUT.read_text()
    assert written == text()
    assert all(f"| {name} | {version} |" in written for name, version in pins())
    assert licence("numpy") and licence("no such package") is None
    assert "see its files" not in written and "not installed" not in written
