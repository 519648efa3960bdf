"""Trips and stops of tracks that are there as a whole: pure functions over columns."""
