"""Waiting with a timeout."""
import os
import time

TIMEOUT = float(os.environ.get("TIMESLICED_TEST_TIMEOUT", "15"))  # seconds; raise it under sanitizers or valgrind


def wait_until(condition, message="", timeout=None):
    """Polls until condition() is true and returns its value. Fails after the timeout with the message, a text or a
    function that returns one."""
    end = time.monotonic() + (timeout or TIMEOUT)
    pause = 0.001
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"timed out{': ' if message else ''}{message() if callable(message) else message}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
