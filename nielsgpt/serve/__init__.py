"""The model as a server: the OpenAI API over one batch, guarded, with a page to talk in."""
