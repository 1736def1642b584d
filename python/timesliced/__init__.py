"""Profiles of an application's own cProfile, sent to timesliced, the daemon that sums them by time slice.

    import timesliced
    client = timesliced.Client("tcp://127.0.0.1:8137", labels={"service": "web"})

    with client.profile():                      a block
        work()

    @client.profiled                            a function, or a coroutine function
    def work(): ...

    client.every(10)                            a process that runs long
    app.wsgi_app = client.wsgi(app.wsgi_app)    a web application, at 5% of its time at most
    client.send(profile)                        a profile that is there already

Nothing of it holds up the application or raises in it, and the standard library is all it needs. Control reads what the
daemon has summed; plots need matplotlib. `python -m timesliced --help` has the commands.
"""
from typing import TYPE_CHECKING, Any

from timesliced.client import Client
from timesliced.sending.sender import ClientStats

if TYPE_CHECKING:
    from timesliced.reading.control import Control, ControlError

__all__ = ["Client", "ClientStats", "Control", "ControlError"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Those who only send need no HTTP."""
    if name in ("Control", "ControlError"):
        from timesliced.reading import control
        return getattr(control, name)
    raise AttributeError(f"module 'timesliced' has no attribute {name!r}")
