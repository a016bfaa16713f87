"""Measure whether evidence maps deserve trust: localisation, faithfulness, randomisation."""
