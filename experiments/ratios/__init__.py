"""How much faster joint sampling is than a sweep and than all patches."""
