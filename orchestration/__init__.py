"""The daemon: a pure core and a thin shell."""

VERSION = "0.1.0"
