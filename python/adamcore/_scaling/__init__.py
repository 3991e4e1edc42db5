"""What a loss scaler is put together from."""
