"""Who is told how a run goes on: the interface, and what shows runs elsewhere."""
