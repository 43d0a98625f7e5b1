"""The cheapest schedule under constraints, exactly."""
