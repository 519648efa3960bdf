"""Simulated cameras: a drawn street scene, filmed once, sent over RTSP by as many cameras as are wanted."""
