"""Recordings: fragmented MP4 in files by camera and day, what they are in `recordings.db`."""
