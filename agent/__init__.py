"""Dockferry: every container's output, delivered to several places at once."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("dockferry")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0.0.0"
