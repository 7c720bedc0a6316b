"""The notebooks, claims, figures and the explorer as web pages that need no server and no network."""

from .build import build

__all__ = ["build"]
