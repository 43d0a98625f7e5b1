"""Learning from recorded runs: assign the next wave's tasks to the slots of the pool, compare, and warn."""
