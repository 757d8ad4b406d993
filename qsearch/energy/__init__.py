"""What a plan costs: processes, memory, operators, per-layer report."""
