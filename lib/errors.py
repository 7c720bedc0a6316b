"""The errors a reader may see, each in one line."""


class InputError(ValueError):
    """Bad input. The message names the file or argument, what is wrong with it, and what to do."""


class RunFailed(RuntimeError):
    """A run whose numbers would mean nothing: training diverged, or a network is silent. Stored, never scored."""


class OutOfMemory(RuntimeError):
    """Memory ran out: how much was needed and is there, and what to change. Nothing is stored."""
