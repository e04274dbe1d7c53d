"""Tasks that connectors do, and the connectors that do them."""
