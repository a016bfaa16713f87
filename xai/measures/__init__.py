"""Measures of evidence maps: faithfulness, localisation, agreement, sanity checks, trust record."""
