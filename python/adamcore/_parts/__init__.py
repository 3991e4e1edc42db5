"""What an optimizer is put together from; no part knows the class `Optimizer`."""
