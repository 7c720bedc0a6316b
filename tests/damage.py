"""How a file may be damaged: bytes changed, cut, copied, put in; numbers and words replaced."""

from __future__ import annotations

import re

import numpy as np

NASTY = (0, 1, 2, 127, 128, 255, 256, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)
WORDS = (
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"NaN",
    b"[]",
    b"{}",
    b'"x"',
    b"9" * 40,
    b"",
    b"[" * 3000,
    b"\xff\xfe",
    b"*a",
    b"!!",
)


def mutate(good: bytes, rng: np.random.Generator, text: bool) -> bytes:
    """One to four changes."""
    data = bytearray(good)
    for _ in range(rng.integers(1, 5)):
        at, n = int(rng.integers(len(data) + 1)), int(rng.choice([1, 2, 4, 8, 64]))
        kind = rng.integers(8 if text else 7)
        if kind == 0:
            data[at : at + 1] = bytes([rng.integers(256)])
        elif kind == 1:
            data[at : at + n] = rng.bytes(n)
        elif kind == 2:
            width = int(rng.choice([1, 2, 4, 8]))
            number = NASTY[rng.integers(len(NASTY))] % (1 << 8 * width)
            data[at : at + width] = number.to_bytes(width, rng.choice(["little", "big"]))
        elif kind == 3:
            del data[at : None if rng.random() < 0.3 else at + n]
        elif kind == 4:
            start = int(rng.integers(len(data) + 1))
            data[at : at + n] = data[start : start + n]
        elif kind == 5:
            data[at:at] = rng.bytes(n)
        elif kind == 6:
            data[at : at + n] = bytes(n)
        else:
            tokens = list(re.finditer(rb"[\w.+-]+", data)) or [re.match(rb"", data)]
            token = tokens[rng.integers(len(tokens))]
            data[token.start() : token.end()] = WORDS[rng.integers(len(WORDS))]
    return bytes(data)
