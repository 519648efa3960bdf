"""The embedded time-series store: open batches, segments and sealed device-hours in one SQLite file."""
