"""The main job on slides that it makes itself."""
