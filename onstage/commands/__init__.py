"""The cloud commands, the same for every platform."""
