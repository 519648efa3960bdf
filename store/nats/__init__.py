"""What is kept by nats-servers: the connection, streams and partitions that the log and the roles share."""
