"""ledger.db: parent and child orders, fills, plans and events, each committed before it has an effect.
Light."""
