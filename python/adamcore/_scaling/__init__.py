"""The parts of a loss scaler."""
