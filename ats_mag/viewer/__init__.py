"""The slide viewer: a server on this machine, and the page that it shows."""
