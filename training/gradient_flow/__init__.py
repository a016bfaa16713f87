"""Watch gradients while a network trains: samples, alarms, a picture."""
