"""One trainer for every phase; a phase is data and numbers."""
