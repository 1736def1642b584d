"""Addresses, limits and units, without I/O."""
