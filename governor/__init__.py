"""Decide who pays for the cloud. Nothing is imported here: `governor --version` must stay cheap."""

__version__ = "0.1.0"
