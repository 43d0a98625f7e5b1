"""What the market shows while orders are worked: quotes and traded volume. Light."""
