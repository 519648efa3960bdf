"""JT/T 905: taxis' terminals (ISU): frames, messages, alarms, commands."""
