"""Settings: the schema, how they are loaded, and the names that others use for them."""
