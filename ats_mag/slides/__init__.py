"""Everything that touches a slide file."""
