"""Sending profiles: the queue, the background thread, encoding, acknowledged streams, the spool, sockets."""
