"""The one error a reader may see: bad input, said in one line with its remedy."""


class InputError(ValueError):
    """Bad input. The message names the file or argument, what is wrong with it, and what to do."""
