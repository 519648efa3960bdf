"""JT/T 808 (2011, 2013, 2019) with the signalling of JT/T 1078: frames, messages, alarms, commands."""
