"""Measures of evidence maps: faithfulness, localisation, agreement, sanity, trust."""
