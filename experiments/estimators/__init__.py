"""Bias and variance of the logit gradient of every way of sampling."""
