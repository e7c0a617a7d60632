"""Text and conversations generated from facts, and the questions of the exam."""
