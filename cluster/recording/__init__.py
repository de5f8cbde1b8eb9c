"""Recordings of a session: written event by event, and replayed as a session."""
