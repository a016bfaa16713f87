"""How an exported file is run: execution provider, number of processors, golden check."""
