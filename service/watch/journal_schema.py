"""The tables of the journal, and how an older journal becomes one of this version."""

from typing import Literal

State = Literal["waiting", "answered", "unusable", "refused", "given up"]

FIRST = """
CREATE TABLE IF NOT EXISTS films (
    key TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    film BLOB,
    attempts INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS objects (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL REFERENCES films,
    object BLOB NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL
);
"""
SECOND = """
ALTER TABLE films ADD COLUMN faults INTEGER NOT NULL DEFAULT 0;
ALTER TABLE films ADD COLUMN why TEXT NOT NULL DEFAULT '';
ALTER TABLE objects ADD COLUMN state TEXT NOT NULL DEFAULT 'waiting';
ALTER TABLE objects ADD COLUMN faults INTEGER NOT NULL DEFAULT 0;
ALTER TABLE objects ADD COLUMN why TEXT NOT NULL DEFAULT '';
CREATE TABLE downloads (
    key TEXT PRIMARY KEY,
    state TEXT NOT NULL DEFAULT 'waiting',
    attempts INTEGER NOT NULL DEFAULT 0,
    faults INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL DEFAULT 0,
    why TEXT NOT NULL DEFAULT ''
);
CREATE TABLE in_hand (film INTEGER PRIMARY KEY);
UPDATE films SET state = 'waiting' WHERE state = 'came';
DROP INDEX IF EXISTS waiting_films;
DROP INDEX IF EXISTS waiting_objects;
CREATE INDEX films_by_state ON films (state, due);
CREATE INDEX objects_by_state ON objects (state, due);
"""
VERSIONS = (FIRST, SECOND)
"""What makes a journal of each version from one of the version before (`PRAGMA user_version`)."""
