"""The network of a job as its trainer has it, in a process of its own: `../trained.py` starts main.py as a script."""
