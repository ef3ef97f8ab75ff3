"""Listen on loopback, on the usual port or a free one, until ^C."""

from __future__ import annotations

import socket
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

HOST = "127.0.0.1"
PORT = 7411


def open_port(wanted: int = PORT) -> socket.socket:
    """Return a socket bound to loopback: on `wanted`, or on a free port where that is taken."""
    for port in (wanted, 0):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            listener.close()
            if port == 0:
                raise
            continue
        return listener
    raise AssertionError("a free port is always tried")


def port_of(listener: socket.socket) -> int:
    """Return the port of a bound socket."""
    return int(listener.getsockname()[1])


def address_of(listener: socket.socket) -> str:
    """Return the address that people open."""
    return f"http://{HOST}:{port_of(listener)}"


def server_of(app: ASGIApp) -> uvicorn.Server:
    """Return a server for `app` that says nothing and stops within two seconds."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    return uvicorn.Server(config)


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serve `app` until the process is interrupted."""
    with listener, suppress(KeyboardInterrupt):
        server_of(app).run(sockets=[listener])
