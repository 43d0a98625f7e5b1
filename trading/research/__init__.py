"""What the research hours are for: parameter search, walk-forward and the validation of what they find."""
