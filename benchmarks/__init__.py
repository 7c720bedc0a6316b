"""Speed of training, measured against the libraries of the field: `python -m benchmarks`."""
