"""On PYTHONPATH, this lets a Python process and those it starts talk to this machine alone.

Every other address is refused, and a line about it goes to the file that $AT_HOME_NOTES names. It sees the sockets of
Python, not those that compiled code opens by itself.
"""

import os
import socket
import sys


def _is_here(host) -> bool:
    host = host.decode() if isinstance(host, bytes) else host
    return host in (None, "", "localhost", "::1", socket.gethostname()) or str(host).startswith("127.")


def _stay_here(event: str, arguments: tuple) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # a path or nothing: no network
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        host = arguments[0]
    else:
        return
    if not _is_here(host):
        with open(os.environ["AT_HOME_NOTES"], "a") as notes:
            notes.write(f"{event} {host}\n")
        raise PermissionError(f"{host} is not this machine")


sys.addaudithook(_stay_here)
