"""Executes on this machine what a cloud would be asked for, and says in one line what would fail there."""
