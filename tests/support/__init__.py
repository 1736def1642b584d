"""Helpers of the integration tests. They know the contract, and nothing of the daemon's code."""
