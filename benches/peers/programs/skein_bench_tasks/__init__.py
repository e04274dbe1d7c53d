"""What `skein_peer.py` registers."""
