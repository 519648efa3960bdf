"""Cameras shared by several machines: who watches which, and how a desk reaches the machine that has a camera."""
