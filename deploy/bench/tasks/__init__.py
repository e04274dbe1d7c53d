"""What `benches/sdk.py` runs."""
