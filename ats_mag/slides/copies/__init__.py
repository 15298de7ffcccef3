"""Local copies of slides, ahead of their use."""
