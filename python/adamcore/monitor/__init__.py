"""`adamcore.Monitor`: what is wrong with a run. It reads losses and what steps return, and changes nothing."""
