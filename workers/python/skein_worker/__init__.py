"""The interpreter side of a Skein worker: a zygote, the children it forks, and what runs in them.

`zygote` is the only entry point. What travels between the processes is written down in `PROTOCOL.md`.
"""
