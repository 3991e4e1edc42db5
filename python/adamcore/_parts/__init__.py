"""The parts of an optimizer. None of them imports the class `Optimizer`."""
