"""What a person sees of a run: its figures, its curves, a page, a comparison with others."""
