"""The audit trail: which answers were given, kept in a database."""
