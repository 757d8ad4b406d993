"""Figures as plain data: pure functions of a run; one template draws them all."""
