"""Order books: recorded or simulated snapshots, features of them, and intraday bars made from them."""
