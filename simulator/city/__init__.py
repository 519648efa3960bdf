"""A seeded synthetic Baotou: roads, devices, what they report, and faults on request."""

from simulator.city.city import Beats, City, Presses
from simulator.city.faults import FaultMaker, Faults, Injected

__all__ = ["Beats", "City", "FaultMaker", "Faults", "Injected", "Presses"]
