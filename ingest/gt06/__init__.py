"""GT06 (Concox and those who speak like it): frames, messages, positions, alarms, commands."""
