"""The Compare tab: one drawing, or random draws, through several models at once."""
