"""Cameras in the service: worker processes, what they see, the clips of an alarm."""
