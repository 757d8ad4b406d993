"""Quantized models in forms that other tools and hardware take."""

from __future__ import annotations
