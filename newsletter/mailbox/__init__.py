"""A mail server that delivers nowhere: it keeps what it is sent, to be read in a browser.

For the demo, for trying things out, and for tests. Anybody who reaches it reads all of its mail, confirmation
links included, so it listens on the loopback address unless told otherwise.
"""
