"""What is kept: the log, the series, signals and the audit, each in its own SQLite file."""
