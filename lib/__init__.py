"""Executable companion to *Beyond Rate Coding* (Yu, Sun, Akarca, Goodman; arXiv 2507.16043)."""

import os

# Idle OpenMP threads of torch spin for milliseconds by default, and take the second core from the threads of our
# kernels; asleep at once, they take longer to wake than a small operation takes. So they spin for a moment. Read when
# torch is first imported, so import lib before torch where training on several cores is to be fast.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__version__ = "0.1.0"
