"""What this machine can train and how fast: trials, the search among them, a sweep's ranking."""
