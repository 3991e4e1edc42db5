"""What is recorded of a run: columns of numbers, and the files and pictures that are made of them."""
