"""The smart executor: parent orders worked as child orders, planned before the start, safe to kill at any
step."""
