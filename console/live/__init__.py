"""Live view and an alarm's evidence in a browser on this machine."""
