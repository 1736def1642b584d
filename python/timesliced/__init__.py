"""Profiles an application with cProfile, and sends the profiles to timesliced, the daemon that sums them by time slice.

    import timesliced
    client = timesliced.Client("tcp://127.0.0.1:8137", labels={"service": "web"})

    with client.profile():                      a block
        work()

    @client.profiled                            a function or coroutine function
    def work(): ...

    client.every(10)                            a long-running process
    app.wsgi_app = client.wsgi(app.wsgi_app)    a web application, within 5% overhead
    client.send(profile)                        an existing profile

None of these calls blocks or raises, and the package needs only the standard library. Control reads what the daemon has
summed; plots need matplotlib. `python -m timesliced --help` lists the commands.
"""
from typing import TYPE_CHECKING, Any

from timesliced.client import Client
from timesliced.sending.queue import ClientStats

if TYPE_CHECKING:
    from timesliced.reading.control import Control, ControlError, Refused, Unreachable

__all__ = ["Client", "ClientStats", "Control", "ControlError", "Refused", "Unreachable"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Loads Control on first use: applications that only send do not need HTTP."""
    if name in ("Control", "ControlError", "Refused", "Unreachable"):
        from timesliced.reading import control
        return getattr(control, name)
    raise AttributeError(f"module 'timesliced' has no attribute {name!r}")
