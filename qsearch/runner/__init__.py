"""The one direct pass from a configuration to a run directory."""
