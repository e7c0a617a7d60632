"""Text and conversations invented from facts, and the questions that examine what was learnt."""
