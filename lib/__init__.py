"""Executable companion to *Beyond Rate Coding* (Yu, Sun, Akarca, Goodman; arXiv 2507.16043)."""

__version__ = "0.1.0"
