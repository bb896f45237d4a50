"""The parts of bench/study. Only the standard library."""
