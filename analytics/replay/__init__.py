"""Replay: tracks played back true to time."""
