"""Which plans are best where what quantizing loses adds up over layers: additive losses, exact optima under budgets."""
