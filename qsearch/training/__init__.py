"""Training of one model: the reference, a candidate, the winner."""
