"""Schedules side by side, before anything is traded."""
