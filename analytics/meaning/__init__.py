"""What points mean: the frame that rules look at, what they leave, and what they remember."""
