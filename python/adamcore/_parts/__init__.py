"""The parts of an optimizer. No part depends on the class `Optimizer`."""
