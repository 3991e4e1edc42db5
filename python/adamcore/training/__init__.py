"""What trains with the optimizers: it compares them."""
