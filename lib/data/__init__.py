"""Data sets: events, cochlea, spoken digits, and their rate-free variants."""
