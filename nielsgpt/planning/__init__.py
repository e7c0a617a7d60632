"""Which model, in which batches, ends best in the time there is: predicted from short runs here."""
