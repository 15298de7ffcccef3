"""Pretrained networks that turn a patch into features, read from files that lie on this machine."""
