"""What attention sampling costs on a GPU with JAX."""
