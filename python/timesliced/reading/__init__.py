"""Queries to the daemon: Control and the types of its results."""
