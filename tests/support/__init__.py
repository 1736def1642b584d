"""Helpers of the integration and fault tests. They use the documented interfaces only, never the daemon's code."""
