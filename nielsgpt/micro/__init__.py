"""The teaching house: one small GPT, written three times, that imports nothing else of nielsgpt."""
