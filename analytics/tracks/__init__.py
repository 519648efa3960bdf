"""Objects through time: which box is which object, and what it does in zones and at lines. Pure; time comes in."""
