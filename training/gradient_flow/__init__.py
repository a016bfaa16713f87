"""Sample the gradient flow while a network trains: records, alarms, a picture."""
