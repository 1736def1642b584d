"""Sends profiles to timesliced, the daemon that sums them by time slice. Standard library only.

    import cProfile
    import timesliced

    client = timesliced.Client("udp://127.0.0.1:8137", labels={"service": "web"})
    with cProfile.Profile() as profile:
        work()
    client.send(profile)
"""
from timesliced.client import Client
from timesliced.sender import ClientStats

__all__ = ["Client", "ClientStats"]
__version__ = "0.1.0"
