"""python -m timesliced: run, send, plot."""
