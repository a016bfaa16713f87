"""How the weights were found: data, training, evaluation and export."""
