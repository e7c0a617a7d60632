"""Reports: runs read back and drawn, tokenizers measured, caches listed."""
