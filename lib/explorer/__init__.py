"""The explorer: a word, its spikes moved about, and what two trained networks make of them.

In JupyterLab `Explorer()` (of `lib.explorer.widgets`), on the web one self-contained page (`python -m lib explorer`).
"""
