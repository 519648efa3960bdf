"""Exports of tracks: what is said of each file, its forms, the file while it is made, and the check of one."""
