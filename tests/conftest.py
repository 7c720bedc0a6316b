"""One thread, no screen, no network, and the same random examples in every run."""

import os
import socket
from pathlib import Path

LIB = Path(__file__).parents[1] / "lib"
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ["BRC_HEADLESS"] = "1"
if not os.access(LIB, os.W_OK):  # numba keeps compiled code beside its source
    os.environ.setdefault("NUMBA_CACHE_DIR", str(LIB.parent / "build" / "numba"))

import hypothesis
import pytest
import torch
from joblib.externals.loky import get_reusable_executor

torch.set_num_threads(1)
hypothesis.settings.register_profile("same", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("same")


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also the tests that take minutes")
    parser.addoption("--browser", action="store_true", help="also the tests in a browser (tests/browser)")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--slow"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="takes minutes: ./run_all.sh test --slow"))


@pytest.fixture(autouse=True, scope="module")
def own_processes():
    """Processes that the tests of a file have started end with it: they keep the environment in which they were."""
    yield
    get_reusable_executor(reuse=True).shutdown(kill_workers=True)


@pytest.fixture(autouse=True, scope="session")
def no_network():
    """Nothing in the tests may leave this machine."""

    def guarded(connect):
        def call(self, address):
            if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
                raise AssertionError(f"a test tried to reach {address}")
            return connect(self, address)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, guarded(getattr(socket.socket, name)))
        yield
