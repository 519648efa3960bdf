"""The desk: alarms, their history, units, cases and answers in one SQLite file."""
