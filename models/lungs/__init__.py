"""From a soft lung mask and a film's pixels to a network's input: layers without weights."""
