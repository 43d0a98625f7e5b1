"""Learning the direction of prices from bars: features, the model, how good it is, and where it is kept."""
