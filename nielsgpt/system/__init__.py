"""The machine and its files: devices, processes, signals, workspaces."""
