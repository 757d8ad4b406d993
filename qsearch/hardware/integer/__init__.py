"""A quantized network as integer arithmetic: what every hardware target is written from."""
