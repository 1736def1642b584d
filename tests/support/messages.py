"""Messages as the daemon receives them."""
import json


def message(n=1, name="f", timestamp=5, **members):
    """A profile with one function: n calls, n milliseconds of cumtime, tottime and total_tt."""
    function = {"ncalls": n, "cumtime": n / 1000, "tottime": n / 1000}
    return json.dumps({"timestamp": timestamp, **members,
                       "profile": {"total_tt": n / 1000, "func_profiles": {name: function}}}).encode()


def padded(size, n=1):
    """A message of exactly this many bytes. Its last bytes are required, so that a truncated one is rejected."""
    text = message(n, pad="")
    text = message(n, pad="x" * (size - len(text)))
    assert len(text) == size
    return text


def calls(daemon, name="f"):
    """The sum of n over all messages of this function."""
    return daemon.calls(function=name).get(name, 0)


def check_counters(daemon, accepted, **rejected):
    """Waits until the daemon is idle. Exactly these numbers of messages must have been received."""
    status = daemon.wait_idle()
    assert (status["accepted"], {code: n for code, n in status["rejected"].items() if n}) == (accepted, rejected)
    assert status["received"] == accepted + sum(rejected.values())
    return status


def error_of(response):
    """The error in a response of a stream."""
    assert set(response) == {"error"}, response
    return response["error"]
