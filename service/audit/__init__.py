"""Keep an audit trail of all answers in a database."""
