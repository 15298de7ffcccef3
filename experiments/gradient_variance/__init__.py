"""Variance and bias of the attention's gradient against N, on real models."""
