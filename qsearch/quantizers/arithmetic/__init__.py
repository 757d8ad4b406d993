"""What quantizers compute: pure functions of tensors and parameters."""
