"""Fixtures: a simulated Engine, and a client for it."""

from tests.engine_room.conftest import client, engine, socket_path

__all__ = ["client", "engine", "socket_path"]
