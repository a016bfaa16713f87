"""The web server around the routes: keys, headers, connections."""
