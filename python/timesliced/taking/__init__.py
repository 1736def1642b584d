"""Taking profiles: of blocks, functions, requests, and at intervals. Profiles go to a Sink (sink.py)."""
