"""Generated bills with exact truth, and the benchmarks. Not part of the installed package."""
